"""The same prompts by llama-cpp-python, one after another, on the GGUF file as it was published.

    PYTHON benchmarks/language_llama.py --prompts FILE

PYTHON is an environment with llama-cpp-python; nothing of the toolkit is imported. The last line of
standard output is a JSON object. Import, load and a first small call are left out.
"""

import argparse
import json
import os
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--new", type=int, default=128)
    parser.add_argument("--every", type=int, default=1, help="take each n-th prompt")
    given = parser.parse_args()

    from llama_cpp import Llama, __version__

    asked = json.loads(given.prompts.read_text(encoding="utf-8"))
    threads = int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))
    model = Llama(
        asked["gguf"], n_ctx=1024, n_threads=threads, n_threads_batch=threads, verbose=False
    )
    rows = asked["tokens"][:: given.every]
    model.create_completion(rows[0], max_tokens=4, temperature=0.0)
    began, cpu, made = time.perf_counter(), time.process_time(), 0
    for row in rows:
        found = model.create_completion(row, max_tokens=given.new, temperature=0.0)
        made += found["usage"]["completion_tokens"]
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    report = {"prompts": len(rows), "tokens": made, "seconds": seconds, "version": __version__}
    report |= {"cpu_each": cpu / made}
    print(json.dumps(report | {"seconds_each": seconds / made, "threads": threads}))


if __name__ == "__main__":
    main()
