"""Between texts and a model's tokens: chat templates, stop tokens, special tokens."""

from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.adapter import Placement, Slots
from foundation.errors import InputError, RequestError
from foundation.spec import ModelSpec

if TYPE_CHECKING:
    from foundation.decoding.rows import Plan

BACKENDS = ("transformers", "llama.cpp")
MARK = "\u2603"
"""What an assistant is made to say in order to see what its template ends it with."""

BLANK = "\u2581"
"""How sentencepiece spells a blank, which it also puts before every text."""

SPELT = {
    "\n": ("\u010a", "\n", "<0x0A>"),
    "\r": ("\u010d", "\r", "<0x0D>"),
    "\t": ("\u0109", "\t", "<0x09>"),
    " ": ("\u0120", BLANK, " "),
}
"""How vocabularies spell what is not seen: in bytes made visible, as it is, or as a byte."""


class Script:
    """A model's tokenizer, as a generative model needs it.

    window: tokens of the longest row. generation: the model's generation config, or None.
    """

    def __init__(self, tokenizer: Any, window: int, generation: Any = None) -> None:
        self._tokenizer, self.window, self._generation = tokenizer, window, generation

    @property
    def chats(self) -> bool:
        """Whether there is a chat template."""
        return bool(self._tokenizer.chat_template)

    def prompt(self, text: str, chat: bool | None, system: str | None) -> list[int]:
        """The tokens a text is gone on from; RequestError where that cannot be."""
        self.check_length(text)
        if chat is None:
            chat = self.chats
        if not chat and system is not None:
            raise RequestError("system needs a chat template: leave it out or put it in the prompt")
        tokens = self._chat(text, system) if chat else self.tokens(text)
        return tokens or [self.begin]

    def tokens(self, text: str) -> list[int]:
        """The tokens of a text, with those that the tokenizer itself puts before it."""
        ids: list[int] = self._tokenizer(text, verbose=False).input_ids
        return ids[:-1] if self._ends_texts else ids

    def words(self, text: str) -> list[int]:
        """The tokens of a text and nothing else."""
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, verbose=False).input_ids
        return ids

    def within(self, text: str) -> list[int]:
        """The tokens of a text that stands behind another: no blank is made up before it."""
        ids = self.words(text)
        if not ids or not self._tokenizer.convert_ids_to_tokens(ids[0]).startswith(BLANK):
            return ids
        mark, marked = self.words(MARK), self.words(MARK + text)
        return marked[len(mark) :] if marked[: len(mark)] == mark else ids

    def text(self, tokens: Sequence[int]) -> str:
        """The text of tokens, special ones left out."""
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True)
        return text

    def continuation(self, before: Sequence[int], new: Sequence[int]) -> str:
        """The text of new tokens where they stand: a first space is kept where it is one."""
        tail = list(before[-4:])
        prefix, whole = self.text(tail), self.text([*tail, *new])
        return whole[len(prefix) :] if whole.startswith(prefix) else self.text(new)

    @cached_property
    def vocabulary(self) -> dict[str, int]:
        """Every token as the tokenizer spells it, special ones too, with its number."""
        found: dict[str, int] = self._tokenizer.get_vocab()
        return found

    def beginning(self, blank: str) -> tuple[int, ...]:
        """The tokens whose text begins with a newline, a blank or a tab."""
        spelt = SPELT.get(blank, ())
        return tuple(sorted(n for token, n in self.vocabulary.items() if token.startswith(spelt)))

    def numbers(self, tokens: Sequence[int | str]) -> frozenset[int]:
        """Tokens given by number or as they stand in the vocabulary; RequestError for others."""
        vocabulary = self._tokenizer.get_vocab()
        size = len(self._tokenizer)
        for token in tokens:
            if token not in vocabulary and not (isinstance(token, int) and 0 <= token < size):
                raise RequestError(f"stop_tokens: the model has no token {token!r}")
        return frozenset(t if isinstance(t, int) else vocabulary[t] for t in tokens)

    @property
    def begin(self) -> int:
        """The token before a text that has nothing before it."""
        for token in (self._tokenizer.bos_token_id, self._tokenizer.eos_token_id, 0):
            if token is not None:
                return int(token)
        return 0

    @cached_property
    def special(self) -> frozenset[int]:
        """Tokens that stand for no text."""
        added = self._tokenizer.added_tokens_decoder
        marked = {number for number, token in added.items() if token.special}
        return frozenset(marked | set(self._tokenizer.all_special_ids))

    @cached_property
    def ends(self) -> frozenset[int]:
        """Tokens that end an answer: the model's, the tokenizer's and the chat template's."""
        found = {self._tokenizer.eos_token_id, self._after_answer()}
        given = getattr(self._generation, "eos_token_id", None)
        found |= set(given) if isinstance(given, list | tuple) else {given}
        return frozenset(token for token in found if token is not None)

    @property
    def end(self) -> int:
        """The token that a written text is to end with."""
        found = self._tokenizer.eos_token_id
        return int(found) if found is not None else min(self.ends, default=0)

    def save(self, folder: Path) -> None:
        """Write the tokenizer as transformers does."""
        self._tokenizer.save_pretrained(folder)

    @cached_property
    def banned(self) -> tuple[int, ...]:
        """Special tokens that end nothing: none of them is ever written."""
        return tuple(sorted(self.special - self.ends))

    @cached_property
    def _ends_texts(self) -> bool:
        """Whether the tokenizer puts an end behind every text, which is then not gone on with."""
        return bool(self._tokenizer("a").input_ids[-1:] == [self._tokenizer.eos_token_id])

    def check_length(self, text: str) -> None:
        """Refuse, without cutting it into tokens, what is surely longer than the window."""
        if len(text) > self.window * self._widest:
            raise RequestError(
                f"{len(text):,} characters are more than the model's window of {self.window} tokens"
            )

    @cached_property
    def _widest(self) -> int:
        return max(map(len, self.vocabulary), default=1)

    def _chat(self, text: str, system: str | None) -> list[int]:
        if not self.chats:
            raise RequestError("this model has no chat template: use task.chat=false")
        before = [] if system is None else [{"role": "system", "content": system}]
        ids: list[int] = self._render([*before, {"role": "user", "content": text}], True)
        return ids

    def _render(self, messages: list[dict[str, str]], answer: bool) -> Any:
        try:
            return self._tokenizer.apply_chat_template(
                messages, add_generation_prompt=answer, tokenize=True, return_dict=False
            )
        except Exception as error:  # a template is a program and fails with what it likes
            reason = str(error).partition("\n")[0]
            raise RequestError(f"the chat template does not take this: {reason}") from error

    def _after_answer(self) -> int | None:
        """The first special token after an answer in the chat template."""
        if not self.chats:
            return None
        question = {"role": "user", "content": "?"}
        try:
            ids = self._render([question, {"role": "assistant", "content": MARK}], False)
        except RequestError:
            return None
        mark = set(self.words(MARK))
        last = max((place for place, token in enumerate(ids) if token in mark), default=len(ids))
        return next((token for token in ids[last + 1 :] if token in self.special), None)


def stopping(
    script: Script, stop: Sequence[str], tokens: Collection[int] = ()
) -> Callable[[Sequence[int]], str | None]:
    """Asked after each token: why a text ends, or None.

    "end" at a token that ends an answer, "stop_token" at one of `tokens`, "stop" where a stop text
    stands.
    """
    # A character may take several tokens, so a text is within its bytes' number of them.
    reach = max((len(text.encode()) for text in stop), default=0) + 4

    def ended(new: Sequence[int]) -> str | None:
        if new[-1] in script.ends:
            return "end"
        if new[-1] in tokens:
            return "stop_token"
        if stop:
            tail = script.text(new[-reach:])
            if any(text in tail for text in stop):
                return "stop"
        return None

    return ended


def cut(text: str, stop: Sequence[str]) -> str:
    """A text up to the first of the stop texts."""
    places = [place for place in (text.find(word) for word in stop) if place >= 0]
    return text[: min(places)] if places else text


def read_script(folder: Path, config: Any, generation: Any = None) -> Script:
    """The tokenizer at a folder, for the model of that config."""
    from foundation.pretrained import read_tokenizer

    tokenizer, text = read_tokenizer(folder), config.get_text_config()
    window = getattr(text, "max_position_embeddings", None) or tokenizer.model_max_length
    return Script(tokenizer, int(min(window, tokenizer.model_max_length, 2**31)), generation)


def read_causal(spec: ModelSpec, folder: Path, placement: Placement) -> tuple[Any, Script]:
    """A causal model on its placement, with its script; a GGUF file is dequantised once.

    spec: its `bits`; its `deltas`, LoRA folders that are merged into it; and of its options
    `backend`: llama.cpp for a GGUF file as it is, of rows of at most `context` tokens.
    """
    import torch

    from foundation.hub.gguf import plain
    from foundation.packed import pack
    from foundation.pretrained import read_model

    backend = spec.options.get("backend", "transformers")
    if backend not in BACKENDS:
        raise InputError(f"model.options.backend must be one of {', '.join(BACKENDS)}")
    if backend == "llama.cpp":
        from foundation.decoding.llama import CONTEXT, read_llama

        if spec.bits or spec.deltas:
            raise InputError("llama.cpp takes a GGUF file as it is: no model.bits, no LoRA weights")
        return read_llama(folder, placement, int(spec.options.get("context", CONTEXT)))
    if placement.threads:
        torch.set_num_threads(placement.threads)
    folder = plain(folder)
    dtype = getattr(torch, placement.dtype)
    kind = "AutoModelForCausalLM"
    model = read_model(folder, kind, dtype, spec.deltas, placement, spec.bits)
    script = read_script(folder, model.config, model.generation_config)
    return pack(model), script


def written_by(model: Any, script: Script, plan: "Plan", count: int) -> Slots:
    """`count` rows of what `read_causal` gave."""
    from foundation.decoding.llama import LlamaModel, LlamaSlots
    from foundation.decoding.slots import CausalSlots

    if isinstance(model, LlamaModel):
        return LlamaSlots(model, plan)
    layers = model.config.get_text_config().num_hidden_layers
    return CausalSlots(model, plan, count, script.window, layers)


def check_reads(model: Any, task: str) -> None:
    """Refuse a task that looks at given texts where the backend only writes."""
    from foundation.decoding.llama import LlamaModel

    if isinstance(model, LlamaModel):
        raise InputError(f"llama.cpp only writes here: for task={task} leave out options.backend")
