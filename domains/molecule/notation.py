"""The notations that causal language models of molecules write: SMILES, SELFIES, SAFE."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from foundation.domains.molecule.scripts import decode, encode
from foundation.errors import MissingExtra, RequestError, SourceError, UnknownName

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from foundation.domains.molecule.plans import Prompt

# What tokenizers reads of a tokenizer.json; some packages put more into theirs.
PARTS = (
    "version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
    "post_processor", "decoder", "model",
)  # fmt: skip
LIMITS = ("max_position_embeddings", "window_size", "sliding_window")


class Notation(Protocol):
    """A way to write a molecule; both raise RequestError for what cannot be written."""

    name: str

    def write(self, smiles: str) -> str: ...

    def smiles(self, text: str) -> str: ...


class Smiles:
    """Weininger (1988)."""

    name = "SMILES"

    def write(self, smiles: str) -> str:
        return smiles

    def smiles(self, text: str) -> str:
        return text


class Selfies:
    """Krenn et al. (2020). vocabulary: the model's symbols, perhaps of an earlier release."""

    name = "SELFIES"

    def __init__(self, vocabulary: Sequence[str]) -> None:
        try:
            import selfies
            from selfies.compatibility import modernize_symbol
        except ImportError:
            raise MissingExtra("selfies", "selfies") from None
        self._selfies, self._modern = selfies, modernize_symbol
        symbols = [symbol for symbol in sorted(vocabulary) if symbol.startswith("[")]
        self._earlier = {modernize_symbol(symbol): symbol for symbol in symbols}
        self._earlier |= {symbol: symbol for symbol in symbols}

    def write(self, smiles: str) -> str:
        try:
            symbols = self._selfies.split_selfies(self._selfies.encoder(smiles))
        except self._selfies.EncoderError as error:
            raise RequestError(f"no SELFIES of it: {_line(error)}") from error
        return "".join(self._earlier.get(symbol, symbol) for symbol in symbols)

    def smiles(self, text: str) -> str:
        try:
            symbols = [self._modern(symbol) for symbol in self._selfies.split_selfies(text)]
            smiles: str = self._selfies.decoder("".join(symbols))
        except (self._selfies.DecoderError, ValueError, KeyError, IndexError) as error:
            raise RequestError(f"not SELFIES: {_line(error)}") from error
        return smiles


class Safe:
    """Noutahi et al. (2024)."""

    name = "SAFE"

    def __init__(self) -> None:
        try:
            import safe  # type: ignore[import-not-found]
        except ImportError:
            raise MissingExtra("safe-mol", "safe") from None
        self._safe = safe

    def write(self, smiles: str) -> str:
        try:
            text: str = self._safe.encode(smiles)
        except self._safe.SAFEFragmentationError:
            return smiles  # one fragment: its SMILES is its SAFE
        except (self._safe.SAFEEncodeError, ValueError) as error:
            raise RequestError(f"no SAFE of it: {_line(error)}") from error
        return text

    def smiles(self, text: str) -> str:
        try:
            smiles: str = self._safe.decode(text)
        except (self._safe.SAFEDecodeError, ValueError) as error:
            raise RequestError(f"not SAFE: {_line(error)}") from error
        return smiles


@dataclass(frozen=True)
class CausalScript:
    """A notation in the tokens of a model."""

    notation: Notation
    tokenizer: "Tokenizer"
    first: int
    end: int
    longest: int

    def begin(self, prompt: "Prompt") -> list[int]:
        if prompt.smiles and not isinstance(self.notation, Smiles):
            raise RequestError(f"a model of {self.notation.name} cannot build on a scaffold")
        return [self.first, *encode(self.tokenizer, prompt.smiles)]

    def write(self, smiles: str) -> list[int]:
        tokens = [self.first, *encode(self.tokenizer, self.notation.write(smiles)), self.end]
        if len(tokens) > self.longest:
            raise RequestError(f"longer than {self.longest - 2} tokens")
        return tokens

    def read(self, tokens: Sequence[int]) -> tuple[str, str | None]:
        text = decode(self.tokenizer, tokens)
        try:
            return self.notation.smiles(text), None
        except RequestError as error:
            return text, str(error)


def script(folder: Path, config: Any, options: Mapping[str, Any]) -> CausalScript:
    """How a model writes, by its files, its config and the options of its YAML."""
    tokenizer = _tokenizer(folder)
    if split := options.get("split"):
        from tokenizers import Regex, pre_tokenizers

        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(split), "isolated")
    longest = min(
        int(options.get("max_length", 128)),
        # Within its window a local attention is an ordinary one.
        *(getattr(config, limit, None) or 2**31 for limit in LIMITS),
    )
    return CausalScript(
        _notation(options.get("notation", "smiles"), tokenizer),
        tokenizer,
        _special(tokenizer, options.get("begin"), config.bos_token_id, "begin"),
        _special(tokenizer, options.get("end"), config.eos_token_id, "end"),
        longest,
    )


def _notation(name: str, tokenizer: "Tokenizer") -> Notation:
    match name:
        case "smiles":
            return Smiles()
        case "selfies":
            return Selfies(list(tokenizer.get_vocab()))
        case "safe":
            return Safe()
    raise UnknownName("notation", name, ("smiles", "selfies", "safe"))


def _tokenizer(folder: Path) -> "Tokenizer":
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    try:
        if path.is_file():
            parts = json.loads(path.read_text(encoding="utf-8"))
            text = json.dumps({name: parts[name] for name in PARTS if name in parts})
            tokenizer = Tokenizer.from_str(text)
        else:
            from transformers import AutoTokenizer

            loaded = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            tokenizer = loaded.backend_tokenizer
    except Exception as error:  # tokenizers raises nothing narrower
        raise SourceError(f"{folder} has no tokenizer that can be read: {_line(error)}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _special(tokenizer: "Tokenizer", named: str | None, configured: Any, option: str) -> int:
    """The token an option names, or else the one of config.json."""
    token = tokenizer.token_to_id(named) if named is not None else configured
    if isinstance(token, list):
        token = token[0]
    if token is None or token >= tokenizer.get_vocab_size():
        what = f"'{named}'" if named is not None else token
        raise SourceError(f"the model has no token {what}: name it in model.options.{option}")
    return int(token)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
