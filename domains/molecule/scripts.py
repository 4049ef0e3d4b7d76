"""How molecules are written for a model: prompts to tokens, tokens to SMILES."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from foundation.domains.molecule.tokenizer import BEGIN, END, RANDOM
from foundation.errors import RequestError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from foundation.domains.molecule.plans import Prompt


class Script(Protocol):
    """end: the token that ends a molecule. longest: tokens of a row, first and end counted."""

    @property
    def end(self) -> int: ...

    @property
    def longest(self) -> int: ...

    def begin(self, prompt: "Prompt") -> list[int]:
        """The tokens that the model goes on from; RequestError for what it cannot write."""
        ...

    def write(self, smiles: str) -> list[int]:
        """The tokens of a whole molecule, first and end included; RequestError as above."""
        ...

    def read(self, tokens: Sequence[int]) -> tuple[str, str | None]:
        """What was written, as SMILES; or as it stands, with the reason why it is none."""
        ...


@dataclass(frozen=True)
class StarterScript:
    """SMILES after a token that tells whether their order is random."""

    tokenizer: "Tokenizer"
    end: int = END
    longest: int = 128

    def begin(self, prompt: "Prompt") -> list[int]:
        first = RANDOM if prompt.randomised else BEGIN
        return [first, *encode(self.tokenizer, prompt.smiles)]

    def write(self, smiles: str) -> list[int]:
        return [BEGIN, *encode(self.tokenizer, smiles), END]

    def read(self, tokens: Sequence[int]) -> tuple[str, str | None]:
        return decode(self.tokenizer, tokens), None


def encode(tokenizer: "Tokenizer", text: str) -> list[int]:
    """Text to tokens; RequestError where a tokenizer would drop what it does not know."""
    tokens: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    if decode(tokenizer, tokens) != text:
        parts = dict.fromkeys(re.findall(r"\[[^\]]*\]|Br|Cl|.", text))
        lost = [part for part in parts if not _survives(tokenizer, part)]
        raise RequestError(f"the model cannot write {' '.join(lost) or text}")
    return tokens


def decode(tokenizer: "Tokenizer", tokens: Sequence[int]) -> str:
    """Tokens to text; a molecule's notation has no white space, a decoder's output may."""
    return "".join(tokenizer.decode(list(tokens)).split())


def _survives(tokenizer: "Tokenizer", part: str) -> bool:
    return decode(tokenizer, tokenizer.encode(part, add_special_tokens=False).ids) == part
