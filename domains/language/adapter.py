"""Generative language models of transformers behind the core's interface: any causal one."""

from collections.abc import Hashable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.adapter import Cost, Output, Placement, Slots
from foundation.domains.language.inputs import Classify, Generate
from foundation.domains.language.tagging import Tag
from foundation.draws import Draws
from foundation.errors import RequestError
from foundation.spec import ModelSpec

if TYPE_CHECKING:
    from foundation.decoding.script import Script
    from foundation.decoding.slots import Decode
    from foundation.domains.language.prompting import Prompter

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


class CausalText:
    """Any causal language model: generate, score, and classify and tag by prompting.

    Weights are safetensors, or one GGUF file, which is dequantised once. `cache_per_token` in the
    model's options: numbers kept for each token, 2 * layers * key-value heads * their width.
    """

    model: Any
    script: "Script"

    @classmethod
    def cost(cls, spec: ModelSpec, request: Any = None) -> Cost:
        """Weights in `spec.dtype`, "auto" taken for float32; keys and values of 1,024 tokens."""
        size = BYTES.get(spec.dtype, 4)
        memory = size * 1024 * int(spec.options.get("cache_per_token", 25_000))
        words = getattr(request, "prompt", None) or getattr(request, "text", None) or ""
        return Cost(weights=size * (spec.parameters or 0), memory=memory, size=len(words) + 1)

    def load(self, spec: ModelSpec, folder: Path, placement: Placement) -> None:
        from foundation.decoding.script import read_causal

        self.model, self.script = read_causal(folder, placement)
        self._prompters: dict[Hashable, Prompter] = {}

    def key(self, task: str, request: Any) -> Hashable:
        if isinstance(request, Tag):
            return (request.labels, request.examples, request.shots, request.method)
        if not isinstance(request, Classify):
            return ()
        return (
            request.labels, request.examples, request.shots, request.templates, request.method
        )  # fmt: skip

    def slots(self, task: str, key: Hashable, count: int) -> Slots | None:
        if task != "generate":
            return None
        from foundation.decoding.slots import CausalSlots

        layers = self.model.config.get_text_config().num_hidden_layers
        plan = partial(generation, self.script)
        return CausalSlots(self.model, plan, count, self.script.window, layers)

    def run(self, task: str, batch: Sequence[Any], draws: Draws) -> Iterator[tuple[int, Output]]:
        """Score, classify or tag; a text over the window is refused with its reason."""
        if task == "score":
            from foundation.decoding.scoring import score

            return score(self.model, self.script, [request.text for request in batch])
        if task == "tag":
            from foundation.domains.language.tag_prompting import tag

            return tag(self.model, self.script, batch)
        return self._prompter(batch[0]).outputs(batch)

    def close(self) -> None:
        del self.model, self.script, self._prompters

    def _prompter(self, request: Classify) -> "Prompter":
        """What classifies by prompts, calibrated once for each set of examples."""
        from foundation.domains.language.prompting import prompter

        if request.method == "head":
            raise RequestError(
                "task.method=head needs a model with task=embed, e.g. language/minilm"
            )
        key = self.key("classify", request)
        if key not in self._prompters:
            self._prompters[key] = prompter(self.model, self.script, request)
        return self._prompters[key]


def generation(script: "Script", request: Generate, draws: Draws) -> "Decode | Output":
    """How one request is written, or why it is refused."""
    import numpy as np

    from foundation.decoding.script import cut, stopping
    from foundation.decoding.slots import Decode

    try:
        tokens = script.prompt(request.prompt, request.chat, request.system)
    except RequestError as error:
        return Output(None, reason=str(error), refused=True)

    def finish(new: Sequence[int], logs: Sequence[float], why: str) -> Output:
        kept = new[:-1] if why == "end" else new
        text = cut(script.continuation(tokens, kept), request.stop)
        if why in ("limit", "window"):
            # A character whose last bytes were not written.
            text = text.rstrip("\ufffd")
        extra = {
            "ended": why,
            "tokens": len(new),
            "log_likelihood": sum(logs),
            "log_probabilities": np.array(logs, dtype=np.float32),
        }
        usage = {"tokens": float(len(new)), "prompt_tokens": float(len(tokens))}
        return Output(text, extra=extra, usage=usage)

    return Decode(
        tokens=tokens,
        limit=request.max_tokens,
        choice=request.choice,
        ended=stopping(script, request.stop),
        finish=finish,
        banned=script.banned,
    )
