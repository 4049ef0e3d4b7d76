"""Weights of a training on the disk."""

from pathlib import Path

import torch

from foundation.tuning import checkpoint, lora


class Tied(torch.nn.Module):
    """Words in and out by the same weights, as in most small language models."""

    def __init__(self) -> None:
        super().__init__()
        self.words = torch.nn.Embedding(5, 3)
        self.out = torch.nn.Linear(3, 5, bias=False)
        self.out.weight = self.words.weight
        self.lora_a = torch.nn.Linear(3, 3)


def test_weights_beside_frozen_tied_ones_are_saved_and_read_again(tmp_path: Path) -> None:
    module, other = Tied(), Tied()
    for each in (module, other):
        each.words.requires_grad_(False)
    frozen = lora.frozen(module)
    weights = checkpoint.weights_of(module, frozen)
    assert set(weights) == {"lora_a.weight", "lora_a.bias"}
    checkpoint.save_weights(weights, tmp_path / "best.safetensors")
    checkpoint.load_weights(other, tmp_path / "best.safetensors", lora.frozen(other))
    assert torch.equal(other.lora_a.weight, module.lora_a.weight)
