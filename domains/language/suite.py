"""`suite=banking77`, `snips`, `calibration`: labels from few examples, beside plain baselines."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.domains.language import corpora, metrics
from foundation.domains.language.corpora import Sentence
from foundation.domains.language.head import fit
from foundation.domains.language.labels import spoken
from foundation.domains.language.regression import log_softmax, regress
from foundation.domains.language.views import Views
from foundation.domains.language.words import WordFeatures
from foundation.durable import write_json
from foundation.errors import InputError
from foundation.model import Model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Probabilities = Callable[..., "NDArray[np.float64]"]


def run(
    model: Model, suite: Mapping[str, Any], folder: Path, seed: int, report: Callable[..., None]
) -> dict[str, Any]:
    """Accuracy and ECE over draws of `suite.each` examples a label, and from all of them.

    The figures of each draw are kept in `folder/draws.json`, from which a resumed suite goes on.
    """
    path = folder / "draws.json"
    draws: list[dict[str, float]] = json.loads(path.read_text()) if path.is_file() else []
    for found in _draws(model, suite, seed, skip=len(draws)):
        draws.append(
            {
                f"{key}{name}": value
                for name, (probabilities, targets) in found.items()
                for key, value in _figures(probabilities, targets).items()
            }
        )
        write_json(path, draws)
        report(len(draws))
    names = sorted({name for draw in draws for name in draw})
    return {
        name: metrics.interval([draw[name] for draw in draws if name in draw]) for name in names
    }


def calibration(
    model: Model, suite: Mapping[str, Any], folder: Path, seed: int, report: Callable[..., None]
) -> dict[str, Any]:
    """ECE of each corpus over draws, with the bins of all draws together."""
    import numpy as np

    found: dict[str, Any] = {}
    for corpus in suite["corpora"]:
        kept: dict[str, list[Any]] = {}
        one = {**suite, "corpus": corpus, "full": False}
        for number, by_name in enumerate(_draws(model, one, seed)):
            for name, pair in by_name.items():
                kept.setdefault(name, []).append(pair)
            report(number + 1)
        for name, pairs in kept.items():
            bins = [metrics.reliability(one, other, suite["bins"]) for one, other in pairs]
            errors = [metrics.calibration_error(each) for each in bins]
            together = [np.concatenate(parts) for parts in zip(*pairs, strict=True)]
            found[f"ece_{corpus}{name}"] = metrics.interval(errors)
            found[f"reliability_{corpus}{name}"] = {
                "bins": metrics.reliability(together[0], together[1], suite["bins"])
            }
    return found


def _figures(
    probabilities: "NDArray[np.float64]", targets: "NDArray[np.int64]"
) -> dict[str, float]:
    bins = metrics.reliability(probabilities, targets)
    right = (probabilities.argmax(axis=1) == targets).mean()
    return {"accuracy": float(right), "ece": metrics.calibration_error(bins)}


def _draws(
    model: Model, suite: Mapping[str, Any], seed: int, skip: int = 0
) -> Iterator[dict[str, tuple[Any, Any]]]:
    """Of each draw but the first `skip`: method -> probabilities and targets of the test."""
    import numpy as np

    train, test = corpora.read(suite["corpus"])
    test = corpora.first(test, suite.get("limit"))
    labels = sorted({sentence.label for sentence in train})
    numbers = {label: number for number, label in enumerate(labels)}
    chosen = [corpora.draw(train, suite["each"], (seed, n)) for n in range(suite["draws"])]
    seen = _Seen(model, [s for some in chosen[skip:] for s in some] + test)
    names = seen.of_texts(spoken(labels))
    targets = np.array([numbers[sentence.label] for sentence in test])
    asked = seen.views(test)
    sizes: list[tuple[str, list[Sentence]]] = [("", some) for some in chosen]
    if suite.get("full"):
        sizes.append(("_full", train))
    for size, some in sizes[skip:]:
        wanted = [numbers[sentence.label] for sentence in some]
        shown = seen.views(some)
        found = {
            "": fit(shown, wanted, len(labels), names).probabilities(asked),
            "_frozen_head": _linear(shown, asked, np.array(wanted), len(labels)),
            "_bag_of_words": _bag(shown.texts, asked.texts, np.array(wanted), len(labels)),
        }
        yield {f"{name}{size}": (found[name], targets) for name in found}


class _Seen:
    """Views of sentences, each text passed through the model once."""

    def __init__(self, model: Model, sentences: Sequence[Sentence]) -> None:
        adapter = model.adapter
        if not hasattr(adapter, "views"):
            raise InputError(f"{model.spec.name} gives no vectors: use language/minilm")
        self._ask: Any = adapter.views
        self._places: dict[str, int] = {}
        self._all: Views | None = None
        self._add([sentence.text for sentence in sentences])

    def views(self, sentences: Sequence[Sentence]) -> Views:
        return self.of_texts([sentence.text for sentence in sentences])

    def of_texts(self, texts: Sequence[str]) -> Views:
        self._add(texts)
        assert self._all is not None
        return self._all.take([self._places[text] for text in texts])

    def _add(self, texts: Sequence[str]) -> None:
        import numpy as np

        new = [text for text in dict.fromkeys(texts) if text not in self._places]
        if not new:
            return
        views, _ = self._ask(new)
        self._places |= {text: len(self._places) + place for place, text in enumerate(new)}
        if self._all is not None:
            both = (self._all, views)
            views = Views(
                tuple(text for each in both for text in each.texts),
                np.concatenate([each.vectors for each in both]),
                np.concatenate([each.layers for each in both]),
            )
        self._all = views


def _linear(
    shown: Views, asked: Views, targets: "NDArray[np.int64]", labels: int
) -> "NDArray[np.float64]":
    """The plain frozen head: a regression on the vectors, its probabilities as they are."""
    import numpy as np

    model = regress([shown.vectors], targets, labels, 10.0)
    return np.exp(log_softmax(model.scores([asked.vectors])))


def _bag(
    shown: Sequence[str], asked: Sequence[str], targets: "NDArray[np.int64]", labels: int
) -> "NDArray[np.float64]":
    """Bag of words: a regression on words and pairs of words."""
    import numpy as np

    features = WordFeatures(shown)
    model = regress([features.of(shown)], targets, labels, 10.0)
    return np.exp(log_softmax(model.scores([features.of(asked)])))
