"""lm-evaluation-harness over a local task, with our model as its backend: a second implementation.

    python benchmarks/quality/lm_eval_check.py --texts 28

The harness words the prompts, picks the answers and counts; the log-likelihoods are ours. Beside it
the same continuations pass through transformers in a plain loop. Needs the package lm_eval (extra
`harness`) and FOUNDATION_DATA. Writes results/lm_eval_check.json.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lm_eval import evaluator
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

from foundation import registry
from foundation.domains.language import corpora
from foundation.domains.language.labels import spoken
from foundation.domains.language.prompting import after
from foundation.durable import write_json
from foundation.model import Model
from foundation.placement import place
from foundation.record import machine, versions

RESULTS = Path(__file__).parents[1] / "results" / "lm_eval_check.json"
TASK = """
task: snips_intents
dataset_path: json
dataset_kwargs: {{data_files: {{test: {path}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "Text: {{{{text}}}}\\nLabel:"
doc_to_target: "{{{{answer}}}}"
doc_to_choice: {labels}
metric_list: [{{metric: acc}}]
"""


class Ours(LM):
    """Our model as a backend of the harness."""

    def __init__(self, adapter: Any) -> None:
        super().__init__()
        self._adapter = adapter
        self.asked: list[tuple[str, str, float]] = []

    def loglikelihood(self, requests: Any, disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        found = []
        for request in requests:
            context, answer = request.args
            script = self._adapter.script
            words = script.words(answer)
            ((log,),) = after(self._adapter.model, [], [script.tokens(context)], [words])
            self.asked.append((context, answer, log))
            found.append((log, False))
        return found

    def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> list[float]:
        raise NotImplementedError("this check asks for no rolling likelihood")

    def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:
        raise NotImplementedError("this check writes nothing")


@torch.inference_mode()
def plain(adapter: Any, context: str, answer: str) -> float:
    """The same by one pass of transformers over context and answer."""
    tokenizer = adapter.script._tokenizer
    before = tokenizer(context).input_ids
    words = tokenizer(answer, add_special_tokens=False).input_ids
    logs = adapter.model(torch.tensor([before + words])).logits[0].float().log_softmax(-1)
    places = range(len(before) - 1, len(before) + len(words) - 1)
    return float(sum(logs[place, word] for place, word in zip(places, words, strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=28)
    given = parser.parse_args()
    model = Model(registry.spec("language/smollm2-135m"), place("cpu", "float32"))
    adapter = model.adapter
    train, test = corpora.read("snips")
    names = sorted({sentence.label for sentence in train})
    rows = [
        {"text": sentence.text, "answer": names.index(sentence.label)}
        for sentence in corpora.first(test, given.texts)
    ]
    ours = Ours(adapter)
    with tempfile.TemporaryDirectory() as folder:
        data, task = Path(folder) / "test.json", Path(folder) / "snips_intents.yaml"
        data.write_text("\n".join(json.dumps(row) for row in rows))
        task.write_text(TASK.format(path=data, labels=json.dumps(spoken(names))))
        manager = TaskManager(include_path=folder, include_defaults=False)
        harness = evaluator.simple_evaluate(
            model=ours, tasks=["snips_intents"], task_manager=manager, bootstrap_iters=0
        )
    beside = np.array([plain(adapter, context, answer) for context, answer, _ in ours.asked])
    logs = np.array([log for _, _, log in ours.asked])
    wanted = np.array([row["answer"] for row in rows])
    found = {
        "accuracy_harness": float(harness["results"]["snips_intents"]["acc,none"]),
        "accuracy_plain_loop": float((beside.reshape(len(rows), -1).argmax(1) == wanted).mean()),
        "largest_difference_of_log_likelihood": float(np.abs(beside - logs).max()),
    }
    print(found)
    write_json(
        RESULTS,
        {
            "command": f"python benchmarks/quality/lm_eval_check.py --texts {given.texts}",
            "texts": len(rows), "continuations": len(logs), "metrics": found,
            "versions": versions(), "machine": machine(),
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
