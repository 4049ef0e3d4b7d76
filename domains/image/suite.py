"""suite=compositional: is what was asked for in the picture? By skill, with baselines."""

import csv
import io
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foundation.domains.image.asking import Asked, ask
from foundation.domains.image.judge import right
from foundation.domains.image.scenes import SKILLS
from foundation.durable import write_text
from foundation.errors import InputError

if TYPE_CHECKING:
    from foundation.model import Model

RESAMPLES = 2000
TRIES = 50
TRAINING = 1_000_000  # numbers of training captions begin here, away from the prompts'

Marks = NDArray[np.float64]


def run(
    model: "Model",
    suite: Mapping[str, Any],
    folder: Path,
    seed: int,
    report: Callable[..., None],
) -> dict[str, Any]:
    """Draw each prompt `suite.pictures` times and judge the pictures.

    The figures: a skill's share of right pictures, `score` their mean over skills, and the same of
    two baselines: a picture of any training scene (chance), and one of the nearest training
    caption, which on held-out prompts is wrong by what held out means. Intervals hold 95 % of
    resamples of the prompts. Each verdict stands in verdicts.csv.
    """
    asked = prompts(suite["split"], suite["prompts"], suite["draw"])[: suite.get("limit")]
    given = {"prompts": [each.prompt for each in asked], "count": suite["pictures"]}
    results = model.results(
        "generate", {**suite.get("settings", {}), **given}, seed=seed, folder=folder / "pictures"
    )
    for made, _ in enumerate(results, 1):
        report(made)
    rows = results.table().select(["id", "output", "reason"]).to_pylist()
    verdicts = [_verdict(folder / "pictures", row, asked, suite["pictures"]) for row in rows]
    _write(folder / "verdicts.csv", asked, rows, verdicts, suite["pictures"])
    marks = np.array([fine for fine, _ in verdicts], np.float64).reshape(len(asked), -1)
    near = nearest(asked, suite["captions"], suite["draw"])
    any_one = [
        ask("train", each.skill, TRAINING + n, suite["draw"]) for n, each in enumerate(asked)
    ]
    return {
        **figures(asked, marks),
        "pictures": len(rows),
        "chance": figures(asked, judged(asked, any_one)),
        "nearest_caption": figures(asked, judged(asked, near)),
    }


def prompts(split: str, count: int, draw: int) -> list[Asked]:
    """`count` prompts of each skill, skills in turn; none twice while there are others."""
    chosen = []
    for skill in SKILLS:
        found: dict[str, Asked] = {}
        for number in range(TRIES * count):
            if len(found) == count:
                break
            each = ask(split, skill, number, draw)
            found.setdefault(each.prompt, each)
        few = list(found.values())
        chosen.append([few[number % len(few)] for number in range(count)])
    return [each for turn in zip(*chosen, strict=True) for each in turn]


def figures(asked: Sequence[Asked], marks: Marks) -> dict[str, Any]:
    """Marks [prompts, pictures], 0 or 1 -> the share of right ones by skill and their mean.

    Prompts are resampled, not pictures: those of one prompt are alike.
    """
    return shares([each.skill for each in asked], marks, SKILLS)


def shares(names: Sequence[str], marks: Marks, order: Sequence[str]) -> dict[str, Any]:
    """The same by the name of each prompt's skill, in that order."""
    skills = [skill for skill in order if skill in names]
    random = np.random.Generator(np.random.Philox(0))
    drawn = []
    told: dict[str, Any] = {}
    for skill in skills:
        own = np.array([mark.mean() for name, mark in zip(names, marks, strict=True)
                        if name == skill])  # fmt: skip
        drawn.append(own[random.integers(0, len(own), (RESAMPLES, len(own)))].mean(1))
        told[skill] = _figure(own.mean(), drawn[-1])
    mean = np.mean([told[skill]["mean"] for skill in skills])
    return {"score": _figure(mean, np.mean(drawn, 0)), **told}


def judged(asked: Sequence[Asked], shown: Sequence[Asked]) -> Marks:
    """Whether a true picture of each of `shown` is what each of `asked` wants, [prompts, 1]."""
    marks = [
        right(other.drawn().pixels.round(), each.expected)[0]
        for each, other in zip(asked, shown, strict=True)
    ]
    return np.array(marks, np.float64)[:, None]


def nearest(asked: Sequence[Asked], count: int, draw: int) -> list[Asked]:
    """Of `count` training captions, the one that shares most words and pairs of words with each."""
    from scipy import sparse

    known = [ask("train", SKILLS[n % len(SKILLS)], TRAINING + n, draw) for n in range(count)]
    terms: dict[str, int] = {}
    tables = []
    for group in (known, asked):
        places = [
            (row, terms.setdefault(term, len(terms)))
            for row, each in enumerate(group)
            for term in _terms(each.prompt)
        ]
        rows, columns = zip(*places, strict=True)
        tables.append((rows, columns, len(group)))
    matrices = []
    for rows, columns, size in tables:
        ones = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), (size, len(terms)))
        lengths = np.sqrt(np.asarray(ones.power(2).sum(1)).ravel())
        matrices.append(sparse.diags(1 / lengths) @ ones)
    alike = (matrices[1] @ matrices[0].T).toarray()
    return [known[place] for place in alike.argmax(1)]


def _terms(prompt: str) -> list[str]:
    words = prompt.split()
    return [*words, *(" ".join(pair) for pair in itertools.pairwise(words))]


def _figure(mean: float, drawn: Marks) -> dict[str, Any]:
    low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
    return {"mean": float(mean), "interval": [low, high]}


def _verdict(
    folder: Path, row: Mapping[str, Any], asked: Sequence[Asked], pictures: int
) -> tuple[bool, str]:
    if row["output"] is None:
        return False, str(row["reason"])
    from PIL import Image

    with Image.open(folder / row["output"]) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    return right(pixels, asked[row["id"] // pictures].expected)


def _write(
    path: Path,
    asked: Sequence[Asked],
    rows: Sequence[Mapping[str, Any]],
    verdicts: Sequence[tuple[bool, str]],
    pictures: int,
) -> None:
    if len(rows) != len(asked) * pictures:
        raise InputError(f"{path.parent} holds {len(rows)} pictures of {len(asked) * pictures}")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "skill", "prompt", "right", "reason"])
    for row, (fine, why) in zip(rows, verdicts, strict=True):
        each = asked[row["id"] // pictures]
        writer.writerow([row["id"], each.skill, each.prompt, str(fine).lower(), why])
    write_text(path, text.getvalue())
