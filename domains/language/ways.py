"""What task=adapt tries on texts beside tuning: words counted, and prompting."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from foundation.errors import InputError

if TYPE_CHECKING:
    from foundation.model import Model

Texts = Sequence[Mapping[str, Any]]


def words(model: "Model", rows: Texts, asked: Texts, labels: Sequence[str]) -> Any:
    """The sceptic's baseline: logistic regression on words and word pairs (tf-idf)."""
    import numpy as np

    from foundation.domains.language.regression import log_softmax, regress
    from foundation.domains.language.words import WordFeatures

    features = WordFeatures([str(row["text"]) for row in rows])
    numbers = {label: number for number, label in enumerate(labels)}
    targets = np.array([numbers[row["label"]] for row in rows])
    seen, unseen = (features.of([str(row["text"]) for row in some]) for some in (rows, asked))
    return np.exp(log_softmax(regress([seen], targets, len(labels), 10.0).scores([unseen])))


def prompt(model: "Model", rows: Texts, asked: Texts, labels: Sequence[str]) -> Any:
    """The model is asked which label follows, with the most similar rows shown."""
    import numpy as np

    from foundation.domains.language.inputs import TEMPLATES
    from foundation.domains.language.prompting import Prompter

    if "generate" not in model.spec.tasks:
        raise InputError(f"{model.spec.name} has no words of its own to be prompted for")
    adapter: Any = model.adapter
    pairs = tuple((str(row["text"]), str(row["label"])) for row in rows)
    made = Prompter(adapter.model, adapter.script, pairs, labels, 8, TEMPLATES)
    made.calibrate()
    return np.array([made.probabilities(str(row["text"])) for row in asked])
