"""What the suites hate and bias ask: HateCheck, Winogender and identity templates."""

import csv
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from foundation.errors import InputError

HATEFUL, OTHER = "hateful", "not hateful"
PRONOUNS = ("male", "female", "neutral")
T = TypeVar("T")


@dataclass(frozen=True)
class Case:
    """One of HateCheck's sentences (Röttger et al. 2021); functionality: what it tests."""

    text: str
    hateful: bool
    functionality: str


@dataclass(frozen=True)
class Schema:
    """A Winogender sentence in three genders of its pronoun (Rudinger et al. 2018).

    of_occupation: whether the pronoun stands for the occupation or for the other person. female:
    the percentage of women in the occupation (Bureau of Labor Statistics, 2015).
    """

    occupation: str
    of_occupation: bool
    sentences: tuple[str, str, str]
    female: float


@dataclass(frozen=True)
class Frame:
    """A sentence with a place for an identity, `{}`."""

    text: str
    toxic: bool

    def of(self, identity: str) -> str:
        return self.text.replace("{}", identity)


def hatecheck() -> list[Case]:
    """All 3,728 cases."""
    return [
        Case(row["test_case"].strip(), row["label_gold"] == "hateful", row["functionality"])
        for row in _rows("hatecheck_cases.csv", ",")
    ]


def winogender() -> list[Schema]:
    """All 240 schemas of 60 occupations."""
    female = {
        row["occupation"]: float(row["bls_pct_female"])
        for row in _rows("winogender_occupations.tsv", "\t")
    }
    found: dict[tuple[str, str, str], dict[str, str]] = {}
    for row in _rows("winogender_sentences.tsv", "\t"):
        occupation, other, answer, gender, _ = row["sentid"].split(".")
        found.setdefault((occupation, other, answer), {})[gender] = row["sentence"]
    return [
        Schema(occupation, answer == "0", (made["male"], made["female"], made["neutral"]),
               female[occupation])
        for (occupation, _, answer), made in found.items()
    ]  # fmt: skip


def identities() -> tuple[list[str], list[Frame]]:
    """The identities, and the sentences in which each of them stands (Dixon et al. 2018).

    Names of persons are left out: a frame with another name is the same frame.
    """
    rows = list(_rows("identity_sentence_templates_en.csv", ","))
    terms = {row["phrase"].partition(" ")[2] for row in rows if row["template"] == "verb_adj"}
    longest = sorted(terms, key=lambda term: (-len(term), term))
    any_term = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, longest))})(?!\w)", re.IGNORECASE)
    frames: dict[tuple[str, bool], set[str]] = {}
    for row in rows:
        if row["template"] in ("name_adj", "you_occupation"):
            continue
        for place in any_term.finditer(row["phrase"]):
            text = f"{row['phrase'][: place.start()]}{{}}{row['phrase'][place.end() :]}"
            key = (text, row["toxicity"] == "toxic")
            frames.setdefault(key, set()).add(place[0].lower())
    whole = [Frame(*key) for key, seen in frames.items() if seen == terms]
    return sorted(terms), sorted(whole, key=lambda frame: (frame.toxic, frame.text))


def some(values: Sequence[T], limit: int | None, seed: int = 0) -> list[T]:
    """The first `limit` of one fixed shuffle; None: all of it."""
    import numpy as np

    order = np.random.default_rng(seed).permutation(len(values))[:limit]
    return [values[place] for place in order.tolist()]


def _rows(name: str, delimiter: str) -> Iterator[dict[str, str]]:
    path = Path(os.environ.get("FOUNDATION_DATA") or "../shared/data") / "text" / "trust" / name
    try:
        with path.open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file, delimiter=delimiter)
    except OSError as error:
        raise InputError(
            f"there is no {path}: set FOUNDATION_DATA to the folder with text/trust"
        ) from error
