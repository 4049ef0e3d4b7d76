"""`suite=hate`: HateCheck by functionality, for any model that classifies."""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from foundation.domains.language import trust_data
from foundation.domains.language.trust_data import HATEFUL, OTHER, Case
from foundation.durable import replacing
from foundation.errors import InputError
from foundation.intervals import share
from foundation.model import Model


def run(
    model: Model, suite: Mapping[str, Any], folder: Path, seed: int, report: Callable[..., None]
) -> dict[str, Any]:
    """Precision, recall, the area under the curve, and the share that is right by functionality.

    A tuned model answers by its own labels, of which `suite.hateful` is the one for hate; others
    learn the two labels from examples made of identity templates, or have only the labels' names.
    """
    cases = trust_data.some(trust_data.hatecheck(), suite.get("limit"))
    hateful, given = labels(model, suite, folder, seed)
    chances = hatefulness(
        model, [case.text for case in cases], hateful, given, folder, seed, report
    )
    said = [chance > 0.5 for chance in chances]
    found = figures(cases, said)
    found["auc"] = _auc([case.hateful for case in cases], chances, seed)
    return found | {f"profanity_list_{k}": v for k, v in _list(cases).items()}


def labels(
    model: Model, suite: Mapping[str, Any], folder: Path, seed: int
) -> tuple[str, dict[str, Any]]:
    """The label that means hate, and the settings by which a model is asked."""
    if "classify" not in model.spec.tasks:
        raise InputError(f"{model.spec.name} cannot classify: choose a model that can")
    own = model.tuned.get("labels")
    if own:
        if suite["hateful"] not in own:
            known = ", ".join(map(str, own))
            raise InputError(f"suite.hateful={suite['hateful']} is no label of the model: {known}")
        return str(suite["hateful"]), {}
    if not suite["each"]:
        return HATEFUL, {"labels": [HATEFUL, OTHER]}
    path = folder / "examples.csv"
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(examples(suite["each"], seed))
    return HATEFUL, {"examples": str(path)}


def examples(each: int, seed: int) -> list[tuple[str, str]]:
    """`each` sentences of either label from the identity templates, an identity drawn for each."""
    import numpy as np

    terms, frames = trust_data.identities()
    rng = np.random.default_rng(seed)
    found = []
    for toxic in (True, False):
        kept = trust_data.some([f for f in frames if f.toxic == toxic], each, seed)
        while len(kept) < each:
            kept.append(kept[int(rng.integers(len(kept)))])
        drawn = rng.integers(len(terms), size=each).tolist()
        texts = [frame.of(terms[place]) for frame, place in zip(kept, drawn, strict=True)]
        found += [(text, HATEFUL if toxic else OTHER) for text in texts]
    return found


def hatefulness(
    model: Model,
    texts: Sequence[str],
    hateful: str,
    given: Mapping[str, Any],
    folder: Path,
    seed: int,
    report: Callable[..., None],
) -> list[float]:
    """The probability of the label that means hate, of each text; of one without an answer, 0."""
    asked = {**given, "texts": list(texts)}
    results = model.results("classify", asked, seed=seed, folder=folder / "classified")
    for number, _ in enumerate(results, 1):
        report(number)
    chances = []
    for row in results.table().to_pylist():
        sure = row["probability"] if row["valid"] else 1.0
        # With more than two labels, what is left is not all hate's: its half is the most it can be.
        chances.append(sure if row["output"] == hateful else min(1 - sure, 0.5))
    return chances


def figures(cases: Sequence[Case], said: Sequence[bool]) -> dict[str, Any]:
    """precision, recall, specificity and accuracy; then the accuracy of each functionality."""
    pairs = list(zip(cases, said, strict=True))
    found = {
        "accuracy": share([float(case.hateful == hate) for case, hate in pairs]),
        "precision": share([float(case.hateful) for case, hate in pairs if hate]),
        "recall": share([float(hate) for case, hate in pairs if case.hateful]),
        "specificity": share([float(not hate) for case, hate in pairs if not case.hateful]),
    }
    for name in sorted({case.functionality for case in cases}):
        right = [float(c.hateful == hate) for c, hate in pairs if c.functionality == name]
        found[name] = share(right)
    return found


def _list(cases: Sequence[Case]) -> dict[str, Any]:
    """The same of the screen for profanity, a list of words, where its package is installed."""
    from foundation.domains.language.profanity import Profanity
    from foundation.errors import MissingExtra
    from foundation.results import Result

    try:
        screen = Profanity()
    except MissingExtra:
        return {}
    said = [screen(Result(0, None, case.text, True)) is not None for case in cases]
    return {k: v for k, v in figures(cases, said).items() if k in ("precision", "recall")}


def _auc(wanted: Sequence[bool], chances: Sequence[float], seed: int) -> dict[str, Any] | None:
    """Of a hateful and another case, how often the first has the higher chance; with bootstraps."""
    import numpy as np

    truth, values = np.array(wanted), np.array(chances)
    if truth.all() or not truth.any():
        return None
    rng, found = np.random.default_rng(seed), []
    for _ in range(1000):
        picked = rng.integers(len(truth), size=len(truth))
        if truth[picked].any() and not truth[picked].all():
            found.append(area(truth[picked], values[picked]))
    low, high = np.percentile(found, [2.5, 97.5]).tolist()
    return {"mean": area(truth, values), "low": low, "high": high}


def area(truth: Any, values: Any) -> float:
    """The area under the ROC curve by ranks, ties counted half (Mann and Whitney 1947)."""
    from scipy.stats import rankdata

    hits = int(truth.sum())
    ranks = rankdata(values)[truth].sum()
    return float((ranks - hits * (hits + 1) / 2) / (hits * (len(truth) - hits)))
