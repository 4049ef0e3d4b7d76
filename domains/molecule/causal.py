"""Causal language models of transformers over SMILES, SELFIES or SAFE, behind the core's interface.

Options of a model's YAML:
    notation: smiles (the default), selfies or safe; what the model writes.
    begin, end: the tokens before and after a molecule, where config.json does not tell them.
    max_length: tokens of a molecule with these two, at most; 128 unless told.
    split: regular expression of the pieces that the tokenizer merges within, where its own file
        leaves that to Python code.
    cache_per_token: numbers kept for each token: 2 * layers * key-value heads * their width.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.adapter import Cost, Output, Placement, Slots
from foundation.domains.molecule.inputs import Molecule
from foundation.draws import Draws
from foundation.errors import SourceError
from foundation.placement.spread import loading, placed
from foundation.pretrained import quiet
from foundation.spec import ModelSpec

if TYPE_CHECKING:
    import torch

MAX_LENGTH = 128


class CausalMolecules:
    """Any causal language model of molecules: generate, embed, score. Safetensors only."""

    offloads = ("host", "disk")
    model: Any

    @classmethod
    def cost(cls, spec: ModelSpec, request: Any = None) -> Cost:
        """Of keys and values where it writes, of whole molecules where it reads them."""
        from foundation.placement.geometry import scoring_cost, writing_cost

        if isinstance(request, Molecule):
            length = len(request.smiles)
            return replace(scoring_cost(spec, length), size=length, most=None)
        return writing_cost(spec, 1, int(spec.options.get("max_length", MAX_LENGTH)) - 1)

    def load(self, spec: ModelSpec, folder: Path, placement: Placement) -> None:
        import torch

        from foundation.domains.molecule.notation import script

        if placement.threads:
            torch.set_num_threads(placement.threads)
        model = _read(folder, getattr(torch, placement.dtype), placement)
        self.script = script(folder, model.config, spec.options)
        self.model = placed(model.eval(), placement)
        self._device = placement.device
        self.width = model.config.hidden_size

    def key(self, task: str, request: Any) -> Hashable:
        return ()

    def slots(self, task: str, key: Hashable, count: int) -> Slots | None:
        if task != "generate":
            return None
        from foundation.domains.molecule.causal_stepper import CausalStepper
        from foundation.domains.molecule.sampling import Sampling

        stepper = CausalStepper(self.model, count, self.script.longest)
        return Sampling(stepper, self.script, count)

    def run(
        self, task: str, batch: Sequence[Molecule], draws: Draws
    ) -> Iterator[tuple[int, Output]]:
        """Embed or score; a molecule that cannot be read or written is refused with its reason."""
        from foundation.domains.molecule.reading import read_molecules

        return read_molecules(self, task, batch, self._device)

    def states(self, tokens: "torch.Tensor") -> "torch.Tensor":
        # Causal attention never looks at the padding, which is at the end.
        last: torch.Tensor = self.model(tokens, output_hidden_states=True).hidden_states[-1]
        return last.float()

    def logits(self, tokens: "torch.Tensor") -> "torch.Tensor":
        logits: torch.Tensor = self.model(tokens).logits
        return logits.float()

    def close(self) -> None:
        del self.model


def _read(folder: Path, dtype: "torch.dtype", placement: Placement) -> Any:
    from transformers import AutoModelForCausalLM

    model: Any
    report: Any
    try:
        with quiet():
            model, report = AutoModelForCausalLM.from_pretrained(  # type: ignore[misc]
                folder,
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                **loading(placement),
                output_loading_info=True,
            )
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise SourceError(f"{folder} holds no causal language model: {reason}") from error
    if missing := sorted(report["missing_keys"]):
        raise SourceError(f"{folder} lacks weights of its model: {missing[0]} and maybe others")
    return model
