"""One prompt after another, as somebody who waits for each: how long an answer takes to come.

    python -m benchmarks.language_alone --way ours

ours       `model.generate(prompts=[...])` of the Python API, a call for each prompt
pipeline   `transformers.pipeline("text-generation")`

Both greedy, on the same prompts, with as many new tokens, in the dtype that is fastest here. The
last line of standard output is a JSON object. Import, load and a first call are left out.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial

from benchmarks.language_prompts import model_folder, prompts
from benchmarks.latency import percentiles
from foundation.precision import fastest
from foundation.pretrained import read_tokenizer

Answer = Callable[[str], int]
"""New tokens of an answer to a prompt."""


def ours(dtype: str, new: int) -> Answer:
    import foundation as fm

    model = fm.load("language/smollm2-135m", placement={"name": "cpu", "dtype": dtype})
    ask = partial(model.generate, max_tokens=new, chat=False, temperature=0.0)

    def answer(text: str) -> int:
        (row,) = ask(prompts=[text])
        return int(row.usage["tokens"])

    return answer


def pipeline(dtype: str, new: int) -> Answer:
    import torch
    import transformers

    folder = model_folder()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype))
    write = transformers.pipeline("text-generation", model=model.eval(), tokenizer=tokenizer)

    def answer(text: str) -> int:
        (found,) = write(text, max_new_tokens=new, do_sample=False, return_tensors=True)
        return len(found["generated_token_ids"]) - len(tokenizer(text).input_ids)

    return answer


WAYS = {"ours": ours, "pipeline": pipeline}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--way", choices=WAYS, required=True)
    parser.add_argument("--count", type=int, default=16, help="prompts")
    parser.add_argument("--new", type=int, default=16, help="new tokens of an answer at most")
    given = parser.parse_args()
    texts, dtype = prompts(read_tokenizer(model_folder()), given.count), fastest()
    answer = WAYS[given.way](dtype, given.new)
    answer(texts[0])
    took, tokens = [], 0
    for text in texts:
        began = time.perf_counter()
        tokens += answer(text)
        took.append(time.perf_counter() - began)
    report = {
        "way": given.way,
        "dtype": dtype,
        "tokens": tokens,
        "seconds_each": sum(took) / tokens,
    }
    print(json.dumps(report | percentiles(took)))


if __name__ == "__main__":
    main()
