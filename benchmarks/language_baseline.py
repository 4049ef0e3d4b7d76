"""What a user would write to have texts gone on with: three ways of transformers.

    python -m benchmarks.language_baseline --way pipeline --prompts FILE

FILE is written by benchmarks.language_prompts. The last line of standard output is a JSON object.
All ways are greedy, as the others are. Import, load and a first small call are left out.

pipeline        `pipeline("text-generation")`, one prompt after another
generate_batch  continuous batching, with room for all prompts at once
static          `generate` on left-padded batches of prompts sorted by length
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any


def pipeline(model: Any, tokenizer: Any, given: dict[str, Any], new: int, batch: int) -> int:
    import transformers

    write = transformers.pipeline("text-generation", model=model, tokenizer=tokenizer)
    made = 0
    for text in given["texts"]:
        (found,) = write(text, max_new_tokens=new, do_sample=False, return_tensors=True)
        made += len(found["generated_token_ids"]) - len(tokenizer(text).input_ids)
    return made


def generate_batch(model: Any, tokenizer: Any, given: dict[str, Any], new: int, batch: int) -> int:
    from transformers import ContinuousBatchingConfig, GenerationConfig

    rows = given["tokens"]
    pages = sum(-(-(len(row) + new) // 256) for row in rows)
    config = GenerationConfig(
        max_new_tokens=new, do_sample=False,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    settings = ContinuousBatchingConfig(num_blocks=pages + 8, max_batch_tokens=batch)
    found = model.generate_batch(
        inputs=rows, generation_config=config, continuous_batching_config=settings
    )
    if len(found) != len(rows):
        raise RuntimeError(f"{len(found)} answers to {len(rows)} prompts")
    return sum(len(each.generated_tokens) for each in found.values())


def static(model: Any, tokenizer: Any, given: dict[str, Any], new: int, batch: int) -> int:
    import torch

    tokenizer.padding_side = "left"
    texts = sorted(given["texts"], key=len)
    made = 0
    for begin in range(0, len(texts), batch):
        asked = tokenizer(texts[begin : begin + batch], return_tensors="pt", padding=True)
        with torch.inference_mode():
            found = model.generate(**asked, max_new_tokens=new, do_sample=False)
        fresh = found[:, asked.input_ids.shape[1] :]
        ended = (fresh == tokenizer.eos_token_id).cumsum(1) - (
            fresh == tokenizer.eos_token_id
        ).int()
        made += int((ended == 0).sum())
    return made


WAYS = {"pipeline": pipeline, "generate_batch": generate_batch, "static": static}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--way", choices=WAYS, required=True)
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--new", type=int, default=128)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--batch", type=int, default=512, help="rows, or tokens of generate_batch")
    parser.add_argument("--every", type=int, default=1, help="take each n-th prompt")
    given = parser.parse_args()

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    asked = json.loads(given.prompts.read_text(encoding="utf-8"))
    folder = asked["model"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, given.dtype)).eval()
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    work = {name: asked[name][:: given.every] for name in ("texts", "tokens")}
    WAYS[given.way](
        model, tokenizer, {name: rows[:2] for name, rows in work.items()}, 4, given.batch
    )
    began, cpu = time.perf_counter(), time.process_time()
    made = WAYS[given.way](model, tokenizer, work, given.new, given.batch)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    report = {"way": given.way, "dtype": given.dtype, "batch": given.batch}
    report |= {
        "prompts": len(work["texts"]),
        "tokens": made,
        "seconds": seconds,
        "cpu_each": cpu / made,
    }
    report |= {"seconds_each": seconds / made, "threads": torch.get_num_threads()}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
