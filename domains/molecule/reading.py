"""Embedding and scoring molecules with a language model."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import torch

from foundation.adapter import Output
from foundation.errors import RequestError

if TYPE_CHECKING:
    from torch import Tensor

    from foundation.domains.molecule.inputs import Molecule
    from foundation.domains.molecule.scripts import Script


class Reader(Protocol):
    """A network that reads whole molecules; tokens [rows, time] are padded at the end."""

    @property
    def script(self) -> "Script": ...

    def states(self, tokens: "Tensor") -> "Tensor":
        """The last layer's states, float32 [rows, time, width]."""
        ...

    def logits(self, tokens: "Tensor") -> "Tensor":
        """The logits of each next token, float32 [rows, time, vocabulary]."""
        ...


def read_molecules(
    reader: Reader, task: str, batch: Sequence["Molecule"], device: str
) -> Iterator[tuple[int, Output]]:
    """Embed or score canonical SMILES; what cannot be read or written is refused and why."""
    from foundation.domains.molecule.checks import check

    answers = check([request.smiles for request in batch], ["canonical"])
    rows, smiles, written = [], [], []
    for row, answer in enumerate(answers):
        try:
            if not answer["valid"]:
                raise RequestError(answer["reason"])
            written.append(reader.script.write(answer["canonical"]))
        except RequestError as error:
            yield row, Output(batch[row].smiles, reason=str(error), refused=True)
        else:
            rows.append(row)
            smiles.append(answer["canonical"])
    if rows:
        outputs = _embed if task == "embed" else _score
        yield from zip(rows, outputs(reader, smiles, written, device), strict=True)


@torch.inference_mode()
def _embed(
    reader: Reader, smiles: Sequence[str], written: Sequence[list[int]], device: str
) -> list[Output]:
    """The mean of the last layer's states over all tokens but the end, float32 [width]."""
    tokens, real = _padded(written, device)
    states = reader.states(tokens[:, :-1])
    means = (states * real.unsqueeze(-1)).sum(1) / real.sum(1, keepdim=True)
    vectors = means.cpu().numpy()
    return [
        Output(text, extra={"canonical": text, "embedding": vector})
        for text, vector in zip(smiles, vectors, strict=True)
    ]


@torch.inference_mode()
def _score(
    reader: Reader, smiles: Sequence[str], written: Sequence[list[int]], device: str
) -> list[Output]:
    """The natural log-likelihood of the tokens, the end included."""
    tokens, real = _padded(written, device)
    logs = torch.log_softmax(reader.logits(tokens[:, :-1]), dim=-1)
    each = logs.gather(-1, tokens[:, 1:].unsqueeze(-1)).squeeze(-1) * real
    return [
        Output(text, extra={"log_likelihood": total, "tokens": len(row) - 1})
        for text, total, row in zip(smiles, each.sum(1).tolist(), written, strict=True)
    ]


def _padded(written: Sequence[list[int]], device: str) -> "tuple[Tensor, Tensor]":
    """Tokens [rows, time], padded with 0; where the next one is real [rows, time - 1]."""
    longest = max(map(len, written))
    tokens = torch.tensor([row + [0] * (longest - len(row)) for row in written], device=device)
    lengths = torch.tensor([len(row) for row in written], device=device)
    return tokens, torch.arange(1, longest, device=device) < lengths.unsqueeze(-1)
