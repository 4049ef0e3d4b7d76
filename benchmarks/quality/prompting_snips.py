"""Snips intents by prompting SmolLM2: raw label words against calibration and similar examples.

    python benchmarks/quality/prompting_snips.py --texts 70

Each text both ways, one after the other, so that a run that is stopped early is a fair comparison
of what it did: `raw` takes the label whose words follow likeliest, with no example and nothing
calibrated; `examples` is task.method=prompt with 8 sentences an intent, of which the 8 most similar
are shown, and contextual calibration. Writes results/prompting_snips.json after every text.
"""

import argparse
from pathlib import Path

import numpy as np

from foundation import registry
from foundation.domains.language import corpora
from foundation.domains.language.inputs import TEMPLATES
from foundation.domains.language.labels import spoken
from foundation.domains.language.prompting import Prompter, _answer, after
from foundation.durable import write_json
from foundation.model import Model
from foundation.placement import place
from foundation.record import machine, versions

RESULTS = Path(__file__).parents[1] / "results" / "prompting_snips.json"


def raw(adapter: object, text: str, labels: list[str]) -> list[float]:
    """The log-probability of each label's words after the first template."""
    question, blanks = _answer(TEMPLATES[0], text)
    words = [adapter.script.words(blanks + label) for label in labels]  # type: ignore[attr-defined]
    asked = adapter.script.tokens(question)  # type: ignore[attr-defined]
    (logs,) = after(adapter.model, [], [asked], words)  # type: ignore[attr-defined]
    return logs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=70)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtype", default="auto")
    given = parser.parse_args()
    model = Model(registry.spec("language/smollm2-135m"), place("cpu", given.dtype))
    adapter = model.adapter
    train, test = corpora.read("snips")
    names = sorted({sentence.label for sentence in train})
    labels = spoken(names)
    some = corpora.draw(train, 8, (given.seed, 0))
    pairs = tuple((s.text, labels[names.index(s.label)]) for s in some)
    few = Prompter(adapter.model, adapter.script, pairs, labels, 8, TEMPLATES)
    right: dict[str, list[bool]] = {"raw": [], "examples": []}
    for sentence in corpora.first(test, given.texts):
        wanted = names.index(sentence.label)
        scores = {
            "raw": raw(adapter, sentence.text, labels),
            "examples": few.probabilities(sentence.text),
        }
        for way, each in scores.items():
            right[way].append(int(np.argmax(each)) == wanted)
        write_json(RESULTS, record(right, model, vars(given)))
    print({way: float(np.mean(each)) for way, each in right.items()})


def record(
    right: dict[str, list[bool]], model: Model, given: dict[str, object]
) -> dict[str, object]:
    """Accuracies, and the paired difference with its interval at 95 %."""
    found = {way: float(np.mean(each)) for way, each in right.items()}
    apart = np.array(right["examples"], float) - np.array(right["raw"], float)
    half = 1.96 * float(apart.std() / len(apart) ** 0.5)
    return {
        "command": "python benchmarks/quality/prompting_snips.py",
        "settings": given,
        "texts": len(apart),
        "accuracy": found,
        "difference": {
            "mean": float(apart.mean()), "low": float(apart.mean()) - half,
            "high": float(apart.mean()) + half,
        },
        "dtype": model.dtype,
        "versions": versions(),
        "machine": machine(),
    }  # fmt: skip


if __name__ == "__main__":
    main()
