"""Generative language models of transformers behind the core's interface: any causal one."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.adapter import Cost, Output, Placement, Slots
from foundation.domains.language.encoder import TextEncoder
from foundation.domains.language.inputs import Classify, Generate
from foundation.domains.language.tagging import Tag
from foundation.domains.language.tuned import holds_tuned
from foundation.draws import Draws
from foundation.errors import InputError, RequestError
from foundation.spec import ModelSpec

if TYPE_CHECKING:
    from foundation.decoding.rows import Decode
    from foundation.decoding.script import Script
    from foundation.domains.language.causal_views import Headed
    from foundation.domains.language.prompting import Prompter


class CausalText:
    """Any causal language model: generate, score, classify, and tag by prompting.

    Weights are safetensors, or one GGUF file, which is dequantised once. `cache_per_token` in the
    model's options: numbers kept for each token, 2 * layers * key-value heads * their width.
    """

    offloads = ("host", "disk")
    model: Any
    script: "Script"

    @classmethod
    def cost(cls, spec: ModelSpec, request: Any = None) -> Cost:
        """Of keys and values where it writes, of a pass's logits where it scores."""
        from foundation.placement.geometry import causal_cost

        text, prompt = getattr(request, "text", None), getattr(request, "prompt", None) or ""
        return causal_cost(spec, text, prompt, getattr(request, "max_tokens", 256))

    def load(self, spec: ModelSpec, folder: Path, placement: Placement) -> None:
        from foundation.decoding.script import read_causal
        from foundation.decoding.telling import Screen

        self._tuned: TextEncoder | None = None
        if holds_tuned(spec, folder):
            self._tuned = TextEncoder()
            self._tuned.load(spec, folder, placement)
            return
        self.model, self.script = read_causal(spec, folder, placement)
        self._screen = Screen()
        self._classifiers: dict[Hashable, Prompter | Headed] = {}

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
        self._check(task)
        from foundation.decoding.script import written_by

        return written_by(self.model, self.script, self._plan, count)

    def pieces(self, task: str, request: Generate, draws: Draws) -> Iterator[str]:
        """A text in parts while it is written; closed early, the rest is not written."""
        from foundation.decoding.script import written_by

        told: list[str] = []
        plan = partial(generation, self.script, told=told.append)
        slots = written_by(self.model, self.script, plan, 1)
        slots.insert(0, request, draws)
        shown = 0
        while True:
            for _, output in slots.step():
                if output.reason is not None:
                    raise RequestError(output.reason)
                yield output.value[shown:]
                return
            if told and len(told[-1]) > shown:
                yield told[-1][shown:]
                shown = len(told[-1])

    def _plan(self, request: Generate, draws: Draws) -> "Decode | Output":
        if not request.stream:
            return generation(self.script, request, draws)
        told, ended = (
            partial(call, draws.ids[0]) for call in (self._screen.tell, self._screen.end)
        )
        return generation(self.script, request, draws, told, ended)

    def run(self, task: str, batch: Sequence[Any], draws: Draws) -> Iterator[tuple[int, Output]]:
        """Score, classify or tag; a text over the window is refused with its reason."""
        if self._tuned is not None:
            self._check(task)
            return self._tuned.run(task, batch, draws)
        from foundation.decoding.script import check_reads

        check_reads(self.model, task)
        if task == "score":
            from foundation.decoding.scoring import score

            return score(self.model, self.script, [request.text for request in batch])
        if task == "tag":
            from foundation.domains.language.tag_prompting import tag

            return tag(self.model, self.script, batch)
        return self._classifier(batch[0]).outputs(batch)

    def close(self) -> None:
        if self._tuned is not None:
            self._tuned.close()
            return
        del self.model, self.script, self._classifiers

    def _check(self, task: str) -> None:
        """A folder of a tuned classifier holds no model that writes."""
        if self._tuned is not None and task != "classify":
            raise InputError("the weights are a tuned classifier's: they are for task=classify")

    def _classifier(self, request: Classify) -> "Prompter | Headed":
        """What answers requests of this key: of prompts and a head, by their held-out examples."""
        from foundation.domains.language.causal_views import headed
        from foundation.domains.language.prompting import prompter

        key = self.key("classify", request)
        if key not in self._classifiers:
            if request.method == "head" and request.examples is None:
                raise RequestError("task.method=head needs task.examples=<file> to be fitted to")
            ways: dict[str, Callable[..., Prompter | Headed]]
            ways = {"prompt": prompter, "head": headed}
            if request.method != "auto":
                ways = {request.method: ways[request.method]}
            elif request.examples is None:
                ways = {"prompt": prompter}
            made = [way(self.model, self.script, request) for way in ways.values()]
            self._classifiers[key] = min(
                made, key=lambda one: inf if one.loss is None else one.loss
            )
        return self._classifiers[key]


def generation(
    script: "Script",
    request: Generate,
    draws: Draws,
    told: Callable[[str], None] | None = None,
    ended: Callable[[str], None] | None = None,
) -> "Decode | Output":
    """How one request is written, or why it is refused.

    told: given the text so far after each token, as far as it will stay. ended: the whole text.
    """
    import numpy as np

    from foundation.decoding.rows import Decode
    from foundation.decoding.script import cut, stopping
    from foundation.decoding.telling import certain

    try:
        tokens = script.prompt(request.prompt, request.chat, request.system)
        stops = script.numbers(request.stop_tokens)
    except RequestError as error:
        return Output(None, reason=str(error), refused=True)
    by_token = stopping(script, request.stop_texts, stops)

    def text(new: Sequence[int]) -> str:
        return script.continuation(tokens, new)

    def why(new: Sequence[int]) -> str | None:
        found = by_token(new)
        if found is None and any(stop(text(new)) for stop in request.stop_functions):
            return "stop"
        return found

    def heard(new: Sequence[int]) -> None:
        if told is not None:
            told(certain(text(new), request.stop_texts))

    def finish(new: Sequence[int], logs: Sequence[float], why: str) -> Output:
        kept = new[:-1] if why in ("end", "stop_token") else new
        whole = cut(text(kept), request.stop_texts)
        if why in ("limit", "window"):
            # A character whose last bytes were not written.
            whole = whole.rstrip("\ufffd")
        if ended is not None:
            ended(whole)
        extra = {
            "ended": "stop" if why == "stop_token" else why,
            "tokens": len(new),
            "log_likelihood": sum(logs),
            "log_probabilities": np.array(logs, dtype=np.float32),
        }
        usage = {"tokens": float(len(new)), "prompt_tokens": float(len(tokens))}
        return Output(whole, extra=extra, usage=usage)

    return Decode(
        tokens=tokens,
        limit=request.max_tokens,
        choice=request.choice,
        ended=why,
        finish=finish,
        banned=tuple(t for t in script.banned if t not in stops) if stops else script.banned,
        heard=None if told is None else heard,
    )
