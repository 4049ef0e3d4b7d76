"""The starter behind the core's interface."""

from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.adapter import Cost, Output, Placement, Slots
from foundation.domains.molecule.inputs import Molecule
from foundation.draws import Draws
from foundation.errors import InputError, SourceError
from foundation.hub.facts import config
from foundation.spec import ModelSpec

if TYPE_CHECKING:
    import torch

    from foundation.domains.molecule.network import SmilesNetwork


GATES = 28
"""Tensors of a step, each as wide as the state, that are held at once."""
STATES = 7
"""The same of a whole molecule's pass, for each of its tokens."""
LENGTH = 20
"""Tokens of a molecule, about."""


class SmilesGru:
    """A recurrent SMILES language model: generate, embed, score; classify or predict when tuned."""

    network: "SmilesNetwork"

    @classmethod
    def cost(cls, spec: ModelSpec, request: Any = None) -> Cost:
        """Of a row's state where it writes, of a molecule's states where it reads; characters."""
        told = {"width": 512, "layers": 3} | dict(config(spec))
        width, layers = int(told["width"]), int(told["layers"])
        parameters, half = spec.parameters or 0, spec.dtype == "bfloat16"
        if isinstance(request, Molecule):
            length = len(request.smiles)
            memory, tokens = 4 * width * STATES * length // 2, length / 2
            return Cost(4 * parameters, memory, length, work=2.0 * parameters * tokens)
        memory = (2 if half else 4) * width * (layers + GATES)
        fixed = 2 * parameters if half else 0
        return Cost(4 * parameters, memory, fixed=fixed, work=2.0 * parameters * LENGTH)

    def load(self, spec: ModelSpec, folder: Path, placement: Placement) -> None:
        import torch

        from foundation.domains.molecule.head import read_head
        from foundation.domains.molecule.scripts import StarterScript
        from foundation.domains.molecule.training import read

        if placement.threads:
            torch.set_num_threads(placement.threads)
        try:
            parts = read(folder)
        except SourceError:
            raise
        except Exception as error:  # tokenizers raises nothing narrower
            reason = str(error).partition("\n")[0]
            raise SourceError(f"{folder} holds no SMILES model: {reason}") from error
        self.network = parts.network.eval().to(placement.device)
        self.script = StarterScript(parts.tokenizer)
        self.head = read_head(folder)
        self._device, self._dtype = placement.device, getattr(torch, placement.dtype)
        self.width = self.network.shape.width

    def key(self, task: str, request: Any) -> Hashable:
        return ()

    def slots(self, task: str, key: Hashable, count: int) -> Slots | None:
        if task != "generate":
            return None
        from foundation.domains.molecule.sampling import Sampling
        from foundation.domains.molecule.stepper import Stepper

        stepper = Stepper(self.network, count, self._device, self._dtype)
        return Sampling(stepper, self.script, count)

    def run(
        self, task: str, batch: Sequence[Molecule], draws: Draws
    ) -> Iterator[tuple[int, Output]]:
        """Embed, score or tell; a molecule that cannot be read or written is refused and why."""
        from foundation.domains.molecule.reading import read_molecules

        if task in ("classify", "predict"):
            return self._tell(task, batch)
        return read_molecules(self, task, batch, self._device)

    def _tell(self, task: str, batch: Sequence[Molecule]) -> Iterator[tuple[int, Output]]:
        """What the tuned head says of each molecule."""
        from foundation.domains.molecule.reading import read_molecules

        if self.head is None or self.head.task != task:
            kind = "labels" if task == "classify" else "values"
            raise InputError(
                f"task={task} needs a head tuned on {kind}: foundation task=tune task.method=head "
                "task.data=<file>, then model.path=<run folder>/model"
            )
        for row, output in read_molecules(self, "embed", batch, self._device):
            if output.reason is None:
                output = self.head.output(output.value, output.extra["embedding"])
            yield row, output

    def states(self, tokens: "torch.Tensor") -> "torch.Tensor":
        states: torch.Tensor = self.network(tokens)
        return states

    def logits(self, tokens: "torch.Tensor") -> "torch.Tensor":
        return self.network.logits(self.network(tokens))

    def close(self) -> None:
        del self.network
