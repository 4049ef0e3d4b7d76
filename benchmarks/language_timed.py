"""What this suite measures of the language default's weights in plain transformers.

    PYTHON benchmarks/language_timed.py --prompts FILE

The counterpart of language_optimum, in its environment: as many tokens of a prompt, as many new
ones, the same number of times. The last line of standard output is a JSON object: seconds of a
generation, the mean.
"""

import argparse
import json
import time
from pathlib import Path
from statistics import mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--long", type=int, default=128, help="tokens of a prompt")
    parser.add_argument("--new", type=int, default=16, help="new tokens, neither more nor fewer")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--dtype", default="float32")
    given = parser.parse_args()

    import torch
    from transformers import AutoModelForCausalLM

    folder = json.loads(given.prompts.read_text(encoding="utf-8"))["model"]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, given.dtype)).eval()
    tokens = torch.randint(model.config.vocab_size, (1, given.long))
    asked = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
    took = []
    for _ in range(1 + given.times):
        began = time.perf_counter()
        with torch.inference_mode():
            model.generate(
                **asked, max_new_tokens=given.new, min_new_tokens=given.new, do_sample=False,
                pad_token_id=0,
            )  # fmt: skip
        took.append(time.perf_counter() - began)
    print(json.dumps({"generation": mean(took[1:])}))


if __name__ == "__main__":
    main()
