"""Profanity in a text, by the word lists of the package glin-profanity (MIT)."""

from foundation.errors import MissingExtra
from foundation.results import Result


class Profanity:
    """Swear words and slurs of a list, also spelt with numbers, accents and stops between letters.

    A list knows no context: it takes quotation, reclaiming and homonyms for abuse, and overlooks
    hatred in clean words. docs/trust.md has its figures.
    """

    def __init__(self, language: str = "english") -> None:
        try:
            from glin_profanity import Filter
        except ImportError as error:
            raise MissingExtra("glin-profanity", "trust") from error
        self._filter = Filter({"languages": [language], "detect_leetspeak": True})

    def __call__(self, result: Result) -> str | None:
        return "a word of its list" if self._filter.is_profane(result.output) else None
