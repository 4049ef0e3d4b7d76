"""The starter as the trainer sees it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.draws import Draws
from foundation.errors import SourceError

if TYPE_CHECKING:
    import torch

    from foundation.domains.molecule.network import SmilesNetwork

LONGEST = 128  # atoms of a molecule that is randomised


class SmilesTraining:
    """The starter as the trainer sees it; rows are SMILES."""

    def __init__(self, network: "SmilesNetwork", tokenizer: Any) -> None:
        self.network, self.tokenizer = network, tokenizer

    @classmethod
    def begin(cls, rows: Sequence[str], shape: dict[str, Any], seed: int) -> "SmilesTraining":
        """A fresh network, and a tokenizer learnt from up to 300,000 of the rows."""
        import torch

        from foundation.domains.molecule import tokenizer
        from foundation.domains.molecule.network import Shape, SmilesNetwork

        torch.manual_seed(seed)
        chosen = rows[:: max(1, len(rows) // 300_000)]
        learnt = tokenizer.learn(chosen, shape["vocabulary"])
        size = {**shape, "vocabulary": learnt.get_vocab_size()}
        return cls(SmilesNetwork(Shape(**size)), learnt)

    def module(self) -> "torch.nn.Module":
        return self.network

    def size(self, row: str) -> int:
        return len(row)

    def collate(
        self, rows: Sequence[str], draws: Draws, augment: float
    ) -> "dict[str, torch.Tensor]":
        """Tokens [rows, longest], padded with 0; augmented rows are randomised SMILES."""
        import torch

        from foundation.domains.molecule.randomise import randomise
        from foundation.domains.molecule.tokenizer import BEGIN, RANDOM, pad

        smiles, begin = list(rows), [BEGIN] * len(rows)
        if augment:
            chosen = (draws.uniform(0) < augment).nonzero()[0].tolist()
            orders = draws.select(chosen).uniform(1, (LONGEST,))
            for i, order in zip(chosen, orders, strict=True):
                smiles[i], begin[i] = randomise(rows[i], order), RANDOM
        return {"tokens": torch.tensor(pad(self.tokenizer, smiles, begin))}

    def loss(self, batch: "dict[str, torch.Tensor]") -> "tuple[torch.Tensor, int]":
        """Summed cross entropy of the next token, and the number of tokens."""
        from torch.nn import functional

        tokens = batch["tokens"]
        target = tokens[:, 1:].flatten()
        # Of all positions: the CPU builds kernels for each shape, so only lengths may vary.
        logits = self.network.logits(self.network(tokens[:, :-1])).flatten(0, 1).float()
        total = functional.cross_entropy(logits, target, ignore_index=0, reduction="sum")
        return total, int((target != 0).sum())

    def targets(self) -> Sequence[str]:
        return ()

    def save(self, folder: Path) -> None:
        """Write model.safetensors (bf16), config.json and tokenizer.json."""
        import torch
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        weights = {
            name: value.detach().to(torch.bfloat16).contiguous()
            for name, value in self.network.state_dict().items()
        }
        save_file(weights, str(folder / "model.safetensors"))
        config = {"architecture": "smiles-gru", **self.network.config()}
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        self.tokenizer.save(str(folder / "tokenizer.json"))


def read(folder: Path) -> "SmilesTraining":
    """Read what `save` wrote; weights become float32."""
    from safetensors.torch import load_file

    from foundation.domains.molecule import tokenizer
    from foundation.domains.molecule.network import Shape, SmilesNetwork

    config = json.loads((folder / "config.json").read_text())
    if config.pop("architecture", None) != "smiles-gru":
        raise SourceError(f"{folder}/config.json is not of a smiles-gru model")
    network = SmilesNetwork(Shape(**config))
    weights = load_file(str(folder / "model.safetensors"))
    network.load_state_dict({name: value.float() for name, value in weights.items()})
    return SmilesTraining(network, tokenizer.read(folder / "tokenizer.json"))
