"""The same prompts by the Python API, timed from the call to the last result written.

    python -m benchmarks.language_ours --prompts FILE

The last line of standard output is a JSON object. Import, load and a first small run are left out.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from benchmarks.latency import percentiles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--new", type=int, default=128)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--every", type=int, default=1, help="take each n-th prompt")
    given = parser.parse_args()

    import torch
    import transformers  # noqa: F401  its start is no part of a load

    import foundation as fm

    texts = json.loads(given.prompts.read_text(encoding="utf-8"))["texts"][:: given.every]
    began = time.perf_counter()
    model = fm.load("language/smollm2-135m", placement={"name": "cpu", "dtype": given.dtype})
    load = time.perf_counter() - began
    common = {"chat": False, "temperature": given.temperature, "batch": given.batch}
    model.generate(prompts=texts[:2], max_tokens=4, **common).finish()
    with tempfile.TemporaryDirectory() as folder:
        began, cpu = time.perf_counter(), time.process_time()
        results = model.generate(
            prompts=texts, max_tokens=given.new, folder=Path(folder) / "run", **common
        )
        rows, came = [], []
        for row in results:
            rows.append(row)
            came.append(time.perf_counter() - began)
        results.finish()
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    made = int(sum(row.usage["tokens"] for row in rows))
    report = {"dtype": model.dtype, "batch": given.batch, "prompts": len(rows), "tokens": made}
    report |= {"seconds": seconds, "seconds_each": seconds / made, "cpu_each": cpu / made}
    report |= {"load_seconds": load, "first_result": came[0], **percentiles(came)}
    print(json.dumps(report | {"threads": torch.get_num_threads()}))


if __name__ == "__main__":
    main()
