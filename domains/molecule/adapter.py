"""The starter behind the core's interface."""

from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.adapter import Cost, Output, Placement, Slots
from foundation.domains.molecule.inputs import Molecule
from foundation.draws import Draws
from foundation.errors import SourceError
from foundation.spec import ModelSpec

if TYPE_CHECKING:
    import torch

    from foundation.domains.molecule.network import SmilesNetwork


class SmilesGru:
    """A recurrent SMILES language model: generate, embed, score."""

    network: "SmilesNetwork"

    @classmethod
    def cost(cls, spec: ModelSpec, request: Any = None) -> Cost:
        """Two bytes a parameter; a row's state and tokens; size in characters."""
        length = len(request.smiles) if isinstance(request, Molecule) else 1
        return Cost(weights=2 * (spec.parameters or 0), memory=16_384, size=length)

    def load(self, spec: ModelSpec, folder: Path, placement: Placement) -> None:
        import torch

        from foundation.domains.molecule.training import read
        from foundation.precision import fastest

        if placement.threads:
            torch.set_num_threads(placement.threads)
        dtype = fastest(placement.device) if placement.dtype == "auto" else placement.dtype
        try:
            parts = read(folder)
        except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise SourceError(f"{folder} holds no SMILES model: {str(error).splitlines()[0]}") from error
        self.network = parts.network.eval().to(placement.device)
        self._tokenizer = parts.tokenizer
        self._device, self._dtype = placement.device, getattr(torch, dtype)
        self.width = self.network.shape.width
        self.dtype = dtype

    def key(self, task: str, request: Any) -> Hashable:
        return ()

    def slots(self, task: str, key: Hashable, count: int) -> Slots | None:
        if task != "generate":
            return None
        from foundation.domains.molecule.sampling import Sampling
        from foundation.domains.molecule.stepper import Stepper

        stepper = Stepper(self.network, count, self._device, self._dtype)
        return Sampling(stepper, self._tokenizer, count)

    def run(
        self, task: str, batch: Sequence[Molecule], draws: Draws
    ) -> Iterator[tuple[int, Output]]:
        """Embed or score; a molecule that RDKit cannot read is refused with its reason."""
        from foundation.domains.molecule.checks import check

        answers = check([request.smiles for request in batch], ["canonical"])
        good = [row for row, answer in enumerate(answers) if answer["valid"]]
        for row, answer in enumerate(answers):
            if not answer["valid"]:
                yield row, Output(batch[row].smiles, reason=answer["reason"], refused=True)
        if good:
            smiles = [answers[row]["canonical"] for row in good]
            outputs = self._embed(smiles) if task == "embed" else self._score(smiles)
            yield from zip(good, outputs, strict=True)

    def close(self) -> None:
        del self.network

    def _embed(self, smiles: Sequence[str]) -> Iterator[Output]:
        """The mean over tokens of the last layer's states, float32 [width]."""
        states, tokens = self._states(smiles)
        real = (tokens[:, 1:] != 0).unsqueeze(-1)
        means = (states * real).sum(1) / real.sum(1)
        for text, vector in zip(smiles, means.cpu().numpy(), strict=True):
            yield Output(text, extra={"canonical": text, "embedding": vector})

    def _score(self, smiles: Sequence[str]) -> Iterator[Output]:
        """The natural log-likelihood of the canonical SMILES, its end included."""
        import torch

        states, tokens = self._states(smiles)
        target = tokens[:, 1:]
        with torch.inference_mode():
            logs = torch.log_softmax(self.network.logits(states), dim=-1)
        each = logs.gather(-1, target.unsqueeze(-1)).squeeze(-1) * (target != 0)
        counts = (target != 0).sum(1).tolist()
        for text, total, count in zip(smiles, each.sum(1).tolist(), counts, strict=True):
            yield Output(text, extra={"log_likelihood": total, "tokens": count})

    def _states(self, smiles: Sequence[str]) -> "tuple[torch.Tensor, torch.Tensor]":
        """SMILES -> (states [rows, time, width], tokens [rows, time + 1], padded with 0)."""
        import torch

        from foundation.domains.molecule.tokenizer import BEGIN, pad

        tokens = torch.tensor(pad(self._tokenizer, smiles, [BEGIN] * len(smiles)))
        tokens = tokens.to(self._device)
        with torch.inference_mode():
            return self.network(tokens[:, :-1]), tokens
