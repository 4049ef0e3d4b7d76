"""A prompt is encoded once, and what is kept is what the encoder gives."""

import torch

from foundation.domains.image.encoded import Encoded


class Counting(torch.nn.Module):
    """A text encoder that counts the rows it sees."""

    def __init__(self):
        super().__init__()
        self.rows = 0

    def forward(self, input_ids=None, attention_mask=None, output_hidden_states=False):
        from transformers.modeling_outputs import BaseModelOutputWithPooling

        self.rows += len(input_ids)
        states = input_ids.float()[..., None] * torch.ones(4)
        if attention_mask is not None:
            states = states * attention_mask[..., None]
        hidden = (states, states + 1) if output_hidden_states else None
        return BaseModelOutputWithPooling(states, states[:, 0], hidden)


def test_rows_are_encoded_once_and_come_back_in_their_places():
    encoder = Counting()
    kept = Encoded(encoder)
    tokens = torch.tensor([[1, 2], [3, 4], [1, 2]])
    plain = encoder(tokens, output_hidden_states=True)
    encoder.rows = 0
    for _ in range(2):
        found = kept(tokens, output_hidden_states=True)
        assert torch.equal(found.last_hidden_state, plain.last_hidden_state)
        assert torch.equal(found[0], plain[0])
        assert torch.equal(found.pooler_output, plain.pooler_output)
        assert torch.equal(found.hidden_states[-1], plain.hidden_states[-1])
    assert encoder.rows == 2
    _ = kept(tokens[:1], torch.tensor([[1, 0]]), output_hidden_states=True)  # another mask
    _ = kept(tokens[:1])  # without hidden states
    assert encoder.rows == 4
    kept.forget()
    _ = kept(tokens[:1])
    assert encoder.rows == 5


def test_what_is_kept_has_a_bound_and_what_is_no_row_is_left_out():
    encoder = Counting()
    kept = Encoded(encoder, most=3 * 4 * (2 * 4 + 4))
    for number in range(10):
        _ = kept(torch.tensor([[number, 0]]))
    assert encoder.rows == 10
    _ = kept(torch.tensor([[9, 0]]))
    assert encoder.rows == 10
    _ = kept(torch.tensor([[0, 0]]))  # forgotten
    assert encoder.rows == 11


def test_a_pipeline_encodes_each_prompt_once(tiny):
    model = tiny("sd")
    encoder, seen = model.adapter.pipe.text_encoder, []
    layer = next(part for part in encoder.modules() if type(part).__name__ == "CLIPEncoderLayer")
    layer.register_forward_hook(
        lambda _m, _a, made: seen.append(len(made if torch.is_tensor(made) else made[0]))
    )
    model.generate(prompts=["a", "b"], count=3, width=32, height=32, guidance=3.0).finish()
    assert sum(seen) == 3  # a, b and the empty one
