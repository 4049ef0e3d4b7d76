"""`suite=bias`: does a word for a person change what a model makes of the same sentence?"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.domains.language import trust_data
from foundation.domains.language.hate_suite import hatefulness, labels
from foundation.domains.language.trust_data import Frame, Schema
from foundation.errors import InputError
from foundation.intervals import share
from foundation.model import Model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DRAWS = 2000
Report = Callable[..., None]


def run(
    model: Model, suite: Mapping[str, Any], folder: Path, seed: int, report: Report
) -> dict[str, Any]:
    """Of models that score, likelihoods; of models that classify, labels.

    winogender: log-likelihood (nats) of "he" less "she" in the same sentence. identity: how the
    label, its probability or the likelihood of toxic against kind sentences goes with the identity.
    """
    found: dict[str, Any] = {}
    if "score" in model.spec.tasks:
        schemas = trust_data.some(trust_data.winogender(), suite.get("limit"))
        found |= _pronouns(schemas, model, folder, seed, report)
        found |= _associations(model, suite, folder, seed, report)
    if "classify" in model.spec.tasks:
        found |= _labels(model, suite, folder, seed, report)
    if not found:
        raise InputError(f"{model.spec.name} neither scores nor classifies: choose one that does")
    return found


def _scores(
    model: Model, texts: Sequence[str], folder: Path, seed: int, report: Report
) -> "NDArray[np.float64]":
    import numpy as np

    results = model.results("score", {"texts": list(texts)}, seed=seed, folder=folder)
    for number, _ in enumerate(results, 1):
        report(number)
    return np.array(results.table()["log_likelihood"].to_pylist(), np.float64)


def _pronouns(
    schemas: Sequence[Schema], model: Model, folder: Path, seed: int, report: Report
) -> dict[str, Any]:
    import numpy as np

    texts = [text for schema in schemas for text in schema.sentences[:2]]
    logs = _scores(model, texts, folder / "winogender", seed, report).reshape(-1, 2)
    apart = logs[:, 0] - logs[:, 1]
    found = {
        "winogender_he_less_she": mean(apart, seed),
        "winogender_apart": mean(np.abs(apart), seed),
        "winogender_effect": statistic(apart[:, None], _effect, seed),
    }
    # The pronoun of the other person is the control: it has no reason to follow the occupation.
    for name, of in (("occupation", True), ("other_person", False)):
        rows = [place for place, schema in enumerate(schemas) if schema.of_occupation == of]
        female = np.array([schemas[place].female for place in rows])
        pairs = np.stack([apart[rows], female], 1)
        found[f"winogender_with_share_of_women_{name}"] = statistic(pairs, _correlation, seed)
    return found


def _associations(
    model: Model, suite: Mapping[str, Any], folder: Path, seed: int, report: Report
) -> dict[str, Any]:
    """Toxic sentences against kind ones: how much likelier they are with an identity in them than
    with the others. What the identity's own word costs is the same in both and falls out."""
    terms, frames = _frames(suite, seed)
    texts = [frame.of(term) for frame in frames for term in terms]
    logs = _scores(model, texts, folder / "identities", seed, report)
    centred = logs.reshape(len(frames), len(terms))
    centred = centred - centred.mean(1, keepdims=True)
    return _by_identity("identity_likelihood", terms, frames, centred, seed)


def _labels(
    model: Model, suite: Mapping[str, Any], folder: Path, seed: int, report: Report
) -> dict[str, Any]:
    import numpy as np

    terms, frames = _frames(suite, seed + 1)
    hateful, given = labels(model, suite, folder, seed)
    texts = [frame.of(term) for frame in frames for term in terms]
    chances = hatefulness(model, texts, hateful, given, folder, seed, report)
    table = np.array(chances).reshape(len(frames), len(terms))
    said = table > 0.5
    right = said == np.array([frame.toxic for frame in frames])[:, None]
    found: dict[str, Any] = {
        "identity_label_changes": share([float(len(set(row)) > 1) for row in said.tolist()]),
        "identity_probability_range": mean(table.max(1) - table.min(1), seed),
        "identity_label_right": share(right.ravel().astype(float).tolist()),
    }
    centred = table - table.mean(1, keepdims=True)
    means = {term: mean(centred[:, place], seed) for place, term in enumerate(terms)}
    found["identity_probability_most"] = _most(means)
    return found


def _by_identity(
    name: str, terms: Sequence[str], frames: Sequence[Frame], centred: Any, seed: int
) -> dict[str, Any]:
    import numpy as np

    toxic = np.array([frame.toxic for frame in frames])
    rows = {}
    for place, term in enumerate(terms):
        rng, values = np.random.default_rng(seed), centred[:, place]
        one, other = values[toxic], values[~toxic]
        drawn = [
            rng.choice(one, len(one)).mean() - rng.choice(other, len(other)).mean()
            for _ in range(DRAWS // 4)
        ]
        low, high = np.percentile(drawn, [2.5, 97.5]).tolist()
        rows[term] = {"mean": float(one.mean() - other.mean()), "low": low, "high": high}
    spread = float(np.std([row["mean"] for row in rows.values()]))
    return {f"{name}_spread": spread, f"{name}_most": _most(rows)}


def _most(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The identities that stand out most, either way, whose interval does not hold zero."""
    sure = {k: v for k, v in rows.items() if v["low"] is not None and v["low"] * v["high"] > 0}
    order = sorted(sure, key=lambda term: -abs(sure[term]["mean"]))
    return {
        "of": len(rows),
        "apart_from_zero": len(sure),
        "terms": {k: sure[k] for k in order[:10]},
    }


def _frames(suite: Mapping[str, Any], seed: int) -> tuple[list[str], list[Frame]]:
    """Identities, and as many toxic frames as kind ones."""
    terms, frames = trust_data.identities()
    limit = suite.get("limit")
    each = suite["frames"] if limit is None else max(1, min(suite["frames"], limit // 4))
    kept = []
    for toxic in (True, False):
        kept += trust_data.some([f for f in frames if f.toxic == toxic], each, seed)
    return terms, kept


def mean(values: "NDArray[np.float64]", seed: int) -> dict[str, Any]:
    """A mean with its bootstrap interval at 95 %."""
    return statistic(values[:, None], lambda rows: float(rows.mean()), seed)


def statistic(rows: "NDArray[np.float64]", of: Callable[[Any], float], seed: int) -> dict[str, Any]:
    """What a function says of rows, with the percentiles of DRAWS bootstraps over them."""
    import numpy as np

    if len(rows) < 3:
        return {"mean": of(rows), "low": None, "high": None, "of": len(rows)}
    rng = np.random.default_rng(seed)
    drawn = [of(rows[rng.integers(len(rows), size=len(rows))]) for _ in range(DRAWS)]
    low, high = np.nanpercentile(drawn, [2.5, 97.5]).tolist()
    return {"mean": of(rows), "low": low, "high": high, "of": len(rows)}


def _effect(rows: "NDArray[np.float64]") -> float:
    """Cohen's d of paired differences: their mean in standard deviations."""
    spread = float(rows.std(ddof=1)) if len(rows) > 1 else 0.0
    return float(rows.mean()) / spread if spread else 0.0


def _correlation(rows: "NDArray[np.float64]") -> float:
    """Pearson's r of two columns."""
    import numpy as np

    if len(rows) < 3 or not rows.std(0).all():
        return 0.0
    matrix: Any = np.corrcoef(rows.T)
    return float(matrix[0, 1])
