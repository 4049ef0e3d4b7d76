"""The starter as the trainer sees it, also punished for what it draws and RDKit cannot read."""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from foundation.domains.molecule import training
from foundation.domains.molecule.stepper import Stepper
from foundation.domains.molecule.tokenizer import BEGIN, END, RANDOM

DRAWN = 128  # molecules drawn a step
RANDOMISED = 32  # of them, as randomised SMILES, which scaffolds are decorated by
LONGEST = 48  # tokens; what is longer goes unpunished
PUNISHED = 24  # invalid molecules a step that are learnt from, at most
WEIGHT = 0.1  # nats a token that an invalid share of 1 costs


class ValidTraining(training.SmilesTraining):
    """Cross entropy plus WEIGHT times the share of drawn molecules that are invalid.

    The share's gradient is that of REINFORCE (Williams 1992): a valid molecule is worth 1, an
    invalid one 0, and the baseline is 1, so that only the invalid ones are learnt from.
    """

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, int]:
        total, units = super().loss(batch)
        if self.network.training:
            total = total + WEIGHT * units * self._invalid_share()
        return total, units

    def _invalid_share(self) -> Tensor:
        """The share itself, whose gradient raises the probability of being valid."""
        begin = torch.full((DRAWN,), BEGIN)
        begin[:RANDOMISED] = RANDOM
        tokens = draw(self, begin, LONGEST)
        invalid = self._invalid(tokens)
        rows = torch.zeros(PUNISHED, tokens.shape[1], dtype=torch.long, device=tokens.device)
        chosen = tokens[invalid[:PUNISHED]]
        rows[: len(chosen)] = chosen
        logits = self.network.logits(self.network(rows[:, :-1])).flatten(0, 1).float()
        loss = functional.cross_entropy(
            logits, rows[:, 1:].flatten(), ignore_index=0, reduction="sum"
        )
        share = len(invalid) / DRAWN
        surrogate = -loss * share / max(1, len(chosen))
        return surrogate - surrogate.detach() + share

    def _invalid(self, tokens: Tensor) -> list[int]:
        from rdkit import rdBase
        from rdkit.Chem import MolFromSmiles

        rows = tokens.tolist()
        ended = [i for i, row in enumerate(rows) if END in row]
        texts = self.tokenizer.decode_batch([rows[i][1 : rows[i].index(END)] for i in ended])
        with rdBase.BlockLogs():
            return [i for i, t in zip(ended, texts, strict=True) if MolFromSmiles(t) is None]


def draw(trained: training.SmilesTraining, begin: Tensor, longest: int) -> Tensor:
    """Tokens [rows, longest] from `begin` [rows] on, END and padding last, by torch's generator."""
    network, count = trained.network, len(begin)
    device = network.bias.device
    dtype = torch.bfloat16 if torch.is_autocast_enabled(device.type) else torch.float32
    tokens = torch.zeros(count, longest, dtype=torch.long, device=device)
    tokens[:, 0] = begin
    going = torch.ones(count, dtype=torch.bool, device=device)
    with torch.no_grad():
        stepper = Stepper(network, count, str(device), dtype)
        for step in range(1, longest):
            logits = stepper.step(tokens[:, step - 1]).to(device)
            drawn = torch.multinomial(logits.softmax(dim=-1), 1)[:, 0]
            tokens[:, step] = torch.where(going, drawn, 0)
            going &= drawn != END
            if not going.any():
                break
    return tokens


def read(folder: Path) -> ValidTraining:
    """Read what `save` wrote; weights become float32."""
    found = training.read(folder)
    return ValidTraining(found.network, found.tokenizer)
