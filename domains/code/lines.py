"""The logical lines of Python code, as the standard library's tokenizer finds them."""

import io
import re
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

COMPOUND = frozenset(
    {"async", "case", "class", "def", "elif", "else", "except", "finally", "for", "if", "match",
     "try", "while", "with"}
)  # fmt: skip
_SILENT = frozenset(
    {tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
)


@dataclass(frozen=True)
class Line:
    """One logical line.

    start, end: where its code begins and ends. stop: behind its newline, or the end of the text.
    margin: what stands before its code. words: its first tokens, one or two. whole: its newline is
    there. opens: it ends in a colon. misfit: its margin fits no block; nothing behind it is read.
    """

    start: int
    end: int
    stop: int
    margin: str
    words: tuple[str, ...] = ()
    whole: bool = False
    opens: bool = False
    misfit: bool = False

    @property
    def word(self) -> str:
        """Its first token; "def" for an asynchronous function."""
        return "def" if self.words == ("async", "def") else next(iter(self.words), "")

    @property
    def indent(self) -> int:
        """The width of its margin."""
        return len(self.margin)

    @property
    def compound(self) -> bool:
        """Whether more lines may belong to it: a block, another clause, what it decorates."""
        return self.opens or self.word in COMPOUND or self.word == "@"


def logical_lines(text: str) -> Iterator[Line]:
    """Each line that holds code; the last may be unfinished, inside a bracket or a string."""
    # The tokenizers of Python 3.12 and later end lines at the one, and break down at the other.
    text = text.translate({ord("\r"): " ", 0: " "})
    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    tokens: list[tokenize.TokenInfo] = []

    def line(stop: int, whole: bool) -> Line:
        first, last = tokens[0], tokens[-1]
        start = starts[first.start[0] - 1] + first.start[1]
        return Line(
            start=start,
            end=starts[last.end[0] - 1] + last.end[1],
            stop=stop,
            margin=text[starts[first.start[0] - 1] : start],
            words=tuple(token.string for token in tokens[:2]),
            whole=whole,
            opens=last.string == ":",
        )

    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.NEWLINE and tokens:
                # At an end without a newline the tokenizer makes one up, of no characters.
                stop = starts[token.end[0] - 1] + token.end[1] if token.string else len(text)
                yield line(stop, bool(token.string))
                tokens = []
            elif token.type not in _SILENT and token.type != tokenize.NEWLINE:
                tokens.append(token)
    except IndentationError as error:
        yield _misfit(text, starts[(error.lineno or 1) - 1])
        return
    except (tokenize.TokenError, SyntaxError):
        pass
    if tokens:
        yield line(len(text), False)


def _misfit(text: str, start: int) -> Line:
    margin = re.compile(r"[ \t\f]*").match(text, start)
    assert margin
    return Line(margin.end(), margin.end(), len(text), margin[0], misfit=True)


def open_blocks(lines: Sequence[Line]) -> list[Line]:
    """The lines whose blocks are open behind the last of `lines`, outermost first."""
    blocks: list[Line] = []
    for line in lines:
        while blocks and blocks[-1].indent >= line.indent:
            blocks.pop()
        if line.opens:
            blocks.append(line)
    return blocks
