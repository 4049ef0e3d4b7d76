"""One completion: what the model is shown, where it ends, and what is said about it."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from foundation.adapter import Output
from foundation.decoding.rows import Decode
from foundation.decoding.script import cut
from foundation.domains.code.context import packed
from foundation.domains.code.ends import PythonScope
from foundation.domains.code.inputs import Complete, Infill
from foundation.domains.code.parsing import syntax_error
from foundation.domains.code.suffixes import overlap, repeats
from foundation.draws import Draws
from foundation.errors import RequestError

if TYPE_CHECKING:
    from foundation.decoding.script import Script
    from foundation.domains.code.markers import Infilling

CUT = ("end", "limit", "window")
"""Ends that no syntax has to do with: the completion goes back to a whole line."""


def completion(
    script: "Script", infilling: "Infilling", request: Complete, draws: Draws
) -> Decode | Output:
    """How a request is written, or why it is refused."""
    try:
        tokens, used = asked(script, infilling, request)
    except RequestError as error:
        return Output(None, reason=str(error), refused=True)
    ending = Ending(script, infilling, request, tokens, used)
    return Decode(
        tokens=tokens,
        limit=request.max_tokens,
        choice=request.choice,
        ended=ending,
        finish=ending.finish,
        # What was taken off the prompt comes first: the code goes on where it stood.
        first=script.beginning(request.parts.trimmed[:1]),
    )


def asked(
    script: "Script", infilling: "Infilling", request: Complete
) -> tuple[list[int], list[str]]:
    """The tokens that the model goes on from, and the files of the context among them."""
    parts = request.parts
    script.check_length(parts.prefix)
    if isinstance(request, Infill):
        script.check_length(parts.suffix or "")
        code = infilling.prompt(parts.prefix, parts.suffix or "")
    else:
        code = script.within(parts.prefix) if request.context else script.words(parts.prefix)
    begin = script.tokens("")
    room = script.window - len(begin) - len(code) - request.max_tokens
    context, used = packed(script, infilling, request.context, request.path, room)
    return [*begin, *context, *code] or [script.begin], used


class Ending:
    """Where one completion ends; asked behind each of its tokens, so it looks at whole lines."""

    def __init__(
        self,
        script: "Script",
        infilling: "Infilling",
        request: Complete,
        tokens: Sequence[int],
        context: Sequence[str],
    ) -> None:
        self._script, self._infilling, self._request = script, infilling, request
        self._tokens, self._context = tokens, list(context)
        self._parts = request.parts
        self._python = request.tongue == "python"
        self._scope = PythonScope(self._parts.prefix, request.until == "statement")
        self._due = False
        # A character may take several tokens, so a text is within its bytes' number of them.
        self._reach = max((len(text.encode()) for text in request.stop), default=0) + 4

    def __call__(self, new: Sequence[int]) -> str | None:
        """Why the completion ends behind these tokens; None where it goes on."""
        if new[-1] in self._infilling.ends:
            return "end"
        if self._request.stop:
            tail = self._script.text(new[-self._reach :])
            if any(text in tail for text in self._request.stop):
                return "stop"
        self._due = self._due or "\n" in self._script.text(new[-1:])
        if not self._due:
            return None
        text = self._script.continuation(self._tokens, new)
        found = self._place(text, over=False)
        if found is not None:
            return found[1]
        # Nothing more is to be seen until the next line, unless its first word may still grow.
        last = text.rpartition("\n")[2].strip()
        self._due = not last or last.isidentifier()
        return None

    def finish(self, new: Sequence[int], logs: Sequence[float], why: str) -> Output:
        """The completion up to its end, with what is said about it."""
        written = new[:-1] if why == "end" else new
        raw = self._script.continuation(self._tokens, written)
        text, ended = self._kept(raw, why)
        count = max(1, self._count(written, text, raw))
        prefix, suffix, trimmed = self._parts
        error = self._error(text)
        extra: dict[str, Any] = {
            "prefix": prefix,
            "suffix": suffix,
            "path": self._request.path,
            "language": self._request.tongue,
            "trimmed": trimmed,
            "context": self._context,
            "ended": ended,
            "left_off": len(raw) - len(text),
            "parses": None if not self._python else error is None,
            "syntax_error": error,
            "tokens": count,
            "log_likelihood": sum(logs[:count]),
            "mean_log_probability": sum(logs[:count]) / count,
        }
        usage = {"tokens": float(len(new)), "prompt_tokens": float(len(self._tokens))}
        nothing = not text.strip() and not isinstance(self._request, Infill)
        reason = "nothing was written before its end" if nothing else error
        return Output(text, reason=reason, extra=extra, usage=usage)

    def _place(self, text: str, over: bool = True) -> tuple[int, str] | None:
        """The first end in a completion, and what ends there; `over` where it is all written."""
        found = []
        until, suffix = self._request.until, self._parts.suffix or ""
        if (repeated := repeats(self._parts.prefix, text, suffix, over)) is not None:
            found.append((repeated, "suffix"))
        if until == "line" and (line := _line_end(text, suffix)) is not None:
            found.append((line, "line"))
        if until in ("auto", "statement") and self._python:
            scope = self._scope.end(text)
            # Behind a hole more statements may lack, but never more functions.
            if scope and (not isinstance(self._request, Infill) or scope[1] == "function"):
                found.append(scope)
        return min(found, default=None)

    def _kept(self, raw: str, why: str) -> tuple[str, str]:
        """What stays of the text, and why it ends there."""
        raw = cut(raw, self._request.stop)
        found = self._place(raw)
        if found is not None:
            text, why = raw[: found[0]], found[1]
        else:
            text = raw if why in ("end", "stop") else raw.rstrip("\ufffd")
            if why in CUT and self._python:
                text = self._back(text, finished=why == "end")
        suffix = self._parts.suffix or ""
        return text[: overlap(self._parts.prefix, text, suffix, self._python)], why

    def _back(self, text: str, finished: bool) -> str:
        """As many whole lines of the text as parse with the suffix.

        Where none do: all of a text that the model finished; else as many as parse without the
        suffix, or up to the last that asks for no block. A last line may stay unfinished where the
        suffix goes on with it, and where it is the only one.
        """
        prefix, suffix = self._parts.prefix, self._parts.suffix or ""
        stops = [match.end() for match in re.finditer("\n", text)]
        lines = [text[:stop] for stop in reversed(stops) if text[:stop].strip()]
        if finished or not lines or (suffix and not suffix[0].isspace()):
            lines.insert(0, text)
        for after in (suffix,) if finished else (suffix, ""):
            for some in lines:
                if syntax_error(prefix, some, after) is None:
                    return some
        return text if finished else text[: max(self._scope.wholes(text), default=len(text))]

    def _error(self, text: str) -> str | None:
        if not self._python:
            return None
        return syntax_error(self._parts.prefix, text, self._parts.suffix or "")

    def _count(self, written: Sequence[int], text: str, raw: str) -> int:
        """How many of the tokens the kept text takes."""
        if text == raw:
            return len(written)
        low, high = 0, len(written)
        while low < high:
            middle = (low + high) // 2
            if len(self._script.continuation(self._tokens, written[:middle])) < len(text):
                low = middle + 1
            else:
                high = middle
        return low


def _line_end(text: str, suffix: str) -> int | None:
    """Behind the first line that is not blank; before its newline where the suffix brings one."""
    blank = len(text) - len(text.lstrip())
    place = text.find("\n", blank)
    if place < 0 or blank == len(text):
        return None
    return place if suffix.startswith("\n") else place + 1
