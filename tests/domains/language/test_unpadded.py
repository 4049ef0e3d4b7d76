"""Rows that pass one behind the other are what they are alone."""

import pytest
import torch
from transformers import BertConfig, BertModel, RobertaConfig, RobertaModel

from foundation.attention import SHORT
from foundation.domains.language.unpadded import Runs, firsts, install, means, passed

LENGTHS = [3, 3, 3, 17, 17, SHORT + 6, SHORT + 6]


def rows() -> list[list[int]]:
    draw = torch.Generator().manual_seed(0)
    return [torch.randint(5, 90, (length,), generator=draw).tolist() for length in LENGTHS]


def bert(dtype: torch.dtype) -> BertModel:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=90, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=80,
    )  # fmt: skip
    return BertModel(config, add_pooling_layer=False).to(dtype).eval()


@pytest.mark.parametrize(
    ("dtype", "near"), [(torch.float32, 1e-5), (torch.bfloat16, 0.06)], ids=str
)
def test_rows_are_what_transformers_makes_of_each_alone(dtype: torch.dtype, near: float) -> None:
    plain, ours = bert(dtype), bert(dtype)
    assert install(ours)
    with torch.inference_mode():
        out, runs = passed(ours, rows())
        alone = [plain(torch.tensor([row])).last_hidden_state[0].float() for row in rows()]
        whole = ours(torch.tensor(rows()[:3])).last_hidden_state  # its other calls stay as they are
    assert runs == [(3, 3), (2, 17), (2, SHORT + 6)]
    found = out.last_hidden_state[0].float().split(LENGTHS)
    for mine, theirs in zip(found, alone, strict=True):
        assert torch.allclose(mine, theirs, atol=near)
    assert torch.allclose(whole.float(), torch.stack(alone[:3]), atol=near)
    assert torch.allclose(
        means(out.last_hidden_state, runs), torch.stack([one.mean(0) for one in alone]), atol=near
    )
    assert torch.allclose(
        firsts(out.last_hidden_state, runs), torch.stack([one[0] for one in alone]), atol=near
    )


def test_a_row_does_not_depend_on_those_beside_it() -> None:
    model = bert(torch.float32)
    install(model)
    with torch.inference_mode():
        together = means(*_states(model, rows()))
        for number, row in enumerate(rows()):
            assert torch.allclose(means(*_states(model, [row]))[0], together[number], atol=1e-6)


def test_large_scores_do_not_overflow() -> None:
    model = bert(torch.float32)
    install(model)
    for name, weight in model.named_parameters():
        if "query" in name or "key" in name:
            weight.data *= 1e4
    with torch.inference_mode():
        states, _ = _states(model, rows())
    assert torch.isfinite(states).all()


def test_architectures_that_count_positions_themselves_are_left_as_they_are() -> None:
    config = RobertaConfig(
        vocab_size=90, hidden_size=32, intermediate_size=48, num_hidden_layers=1,
        num_attention_heads=4,
    )  # fmt: skip
    model = RobertaModel(config)
    assert not install(model)
    assert model.config._attn_implementation == "sdpa"


def _states(model: BertModel, given: list[list[int]]) -> tuple[torch.Tensor, Runs]:
    out, runs = passed(model, given)
    return out.last_hidden_state, runs
