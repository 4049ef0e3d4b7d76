"""Snips intents by prompting SmolLM2: raw label words against calibration and similar examples.

    python benchmarks/quality/prompting_snips.py --texts 70

The same texts for each way: `raw` takes the label whose words follow likeliest, with no example and
nothing calibrated; `calibrated` adds contextual calibration; `examples` shows the 8 most similar of
8 sentences an intent as well, and calibrates on them. Writes results/prompting_snips.json.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from foundation import registry
from foundation.domains.language import corpora, metrics
from foundation.domains.language.inputs import TEMPLATES, Classify
from foundation.domains.language.labels import spoken
from foundation.domains.language.prompting import _answer, after, prompter
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
    given = parser.parse_args()
    model = Model(registry.spec("language/smollm2-135m"), place("cpu", "auto"))
    adapter = model.adapter
    train, test = corpora.read("snips")
    test = corpora.first(test, given.texts)
    names = sorted({sentence.label for sentence in train})
    labels = spoken(names)
    say = dict(zip(names, labels, strict=True))
    some = corpora.draw(train, 8, (given.seed, 0))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "few.jsonl"
        rows = [json.dumps({"text": s.text, "label": say[s.label]}) for s in some]
        path.write_text("\n".join(rows))
        zero = prompter(adapter.model, adapter.script, Classify("x", labels=labels))
        few = prompter(
            adapter.model, adapter.script, Classify("x", labels=labels, examples=str(path))
        )
    targets = np.array([labels.index(say[sentence.label]) for sentence in test])
    ways = {
        "raw": lambda text: raw(adapter, text, labels),
        "calibrated": zero.probabilities,
        "examples": few.probabilities,
    }
    found: dict[str, object] = {}
    for name, way in ways.items():
        scores = np.array([way(sentence.text) for sentence in test])
        right = scores.argmax(1) == targets
        half = 1.96 * float(np.sqrt(right.mean() * (1 - right.mean()) / len(right)))
        found[name] = {"accuracy": float(right.mean()), "half_width_95": half}
        if name != "raw":
            found[name]["ece"] = metrics.calibration_error(metrics.reliability(scores, targets, 10))  # type: ignore[index]
        print(name, found[name], flush=True)
    write_json(
        RESULTS,
        {
            "command": "python benchmarks/quality/prompting_snips.py",
            "seed": given.seed,
            "texts": given.texts, "metrics": found, "scale": few.scale, "dtype": model.dtype,
            "versions": versions(), "machine": machine(),
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
