"""Generative code models of transformers behind the core's interface: any causal one."""

from collections.abc import Hashable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.adapter import Cost, Output, Placement, Slots
from foundation.draws import Draws
from foundation.errors import InputError
from foundation.spec import ModelSpec

if TYPE_CHECKING:
    from foundation.decoding.script import Script
    from foundation.domains.code.markers import Infilling


class CausalCode:
    """Any causal language model over code: complete, score, and infill where it has markers.

    Options of the model's YAML:
        infill: the pieces of its prompt, {prefix} and {suffix} among them, in its own order; where
            they are not told, they are found in the vocabulary.
        cache_per_token: numbers kept for each token, 2 * layers * key-value heads * their width.
    """

    offloads = ("host", "disk")
    model: Any
    script: "Script"
    infilling: "Infilling"

    @classmethod
    def cost(cls, spec: ModelSpec, request: Any = None) -> Cost:
        """Of keys and values where it writes, of a pass's logits where it scores."""
        from foundation.placement.geometry import causal_cost

        text, prompt = getattr(request, "text", None), getattr(request, "prompt", None) or ""
        return causal_cost(spec, text, prompt, getattr(request, "max_tokens", 256))

    def load(self, spec: ModelSpec, folder: Path, placement: Placement) -> None:
        from foundation.decoding.script import read_causal
        from foundation.domains.code.markers import Infilling

        self.model, self.script = read_causal(spec, folder, placement)
        self.infilling = Infilling(self.script, spec.options.get("infill"))
        self._name = spec.name

    def key(self, task: str, request: Any) -> Hashable:
        return ()

    def slots(self, task: str, key: Hashable, count: int) -> Slots | None:
        if task == "score":
            return None
        from foundation.decoding.script import written_by
        from foundation.domains.code.completing import completion
        from foundation.domains.code.ranking import RankedSlots

        if task == "infill" and self.infilling.template is None:
            raise InputError(
                f"{self._name} cannot infill: its vocabulary has no markers for a hole; "
                "if it has some of its own, name them in model.options.infill"
            )
        plan = partial(completion, self.script, self.infilling)
        return RankedSlots(written_by(self.model, self.script, plan, count), count)

    def run(self, task: str, batch: Sequence[Any], draws: Draws) -> Iterator[tuple[int, Output]]:
        """Score; a text over the window is refused with its reason."""
        from foundation.decoding.scoring import score
        from foundation.decoding.script import check_reads

        check_reads(self.model, task)
        return score(self.model, self.script, [request.text for request in batch])

    def close(self) -> None:
        del self.model, self.script, self.infilling
