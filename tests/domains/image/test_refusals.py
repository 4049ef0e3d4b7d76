"""What cannot be is refused on the command line in one line, with exit code 2."""

import secrets

import pytest
import torch
from safetensors.torch import save_file

from foundation import cli

STARTER = (
    "model=image/starter", "placement=cpu", "task.steps=1",
    "model.options.sides=[64]", "model.options.width=64", "model.options.height=64",
)  # fmt: skip


@pytest.fixture
def refused(tmp_path, folders, capfd, monkeypatch):
    """`refused("task.width=70")`: what a command says that ends with exit code 2."""

    def run(*words, path=None):
        monkeypatch.chdir(tmp_path)
        model = path or folders("prx")
        code = cli.main([
            *STARTER, f"model.path={model}", 'task.prompts=["a"]',
            f"hydra.run.dir={tmp_path / secrets.token_hex(4)}", *words,
        ])  # fmt: skip
        said = capfd.readouterr().err.strip().splitlines()
        assert code == 2, said
        told = ("images, ", " on cpu in ")  # how far it is, and where it runs
        lines = [line for line in said if not any(words in line for words in told)]
        assert len(lines) == 1, said
        return lines[0]

    return run


def test_a_pickled_checkpoint(refused, tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "model.ckpt")
    line = refused(path=tmp_path / "model.ckpt")
    assert "model.ckpt is a pickle" in line
    assert "safetensors" in line


def test_sizes_it_cannot_do(refused):
    assert "width 80: this model draws 64 only" in refused("task.width=80")
    line = refused("task.width=70", "model.options.sides=null")
    assert "multiples of 16; the nearest are 64 and 80" in line


def test_an_unknown_scheduler(refused):
    assert "did you mean 'euler'" in refused("task.scheduler=eulr")


def test_a_lora_of_another_architecture(refused, tmp_path):
    name = "transformer.transformer_blocks.0.attn.to_q"
    weights = {
        f"{name}.lora_A.weight": torch.zeros(2, 8),
        f"{name}.lora_B.weight": torch.zeros(8, 2),
    }
    save_file(weights, tmp_path / "lora.safetensors")
    line = refused(f"model.deltas=[{tmp_path / 'lora.safetensors'}]")
    assert "takes no LoRA" in line or "architecture" in line
    assert "model.deltas.skale" in refused("model.deltas=[{path: x, skale: 2}]")
