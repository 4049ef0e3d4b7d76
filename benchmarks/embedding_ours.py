"""The same texts by `task=embed` of the Python API, table written, without import and load.

    python -m benchmarks.embedding_ours --texts FILE --out FILE.npy

The last line of standard output is a JSON object.
"""

import argparse
import json
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()

    import numpy as np
    import torch

    import foundation as fm

    texts = json.loads(given.texts.read_text(encoding="utf-8"))
    model = fm.load("language/minilm", placement={"name": "cpu", "dtype": given.dtype})
    model.embed(texts=texts[:8]).finish()
    began, cpu = time.perf_counter(), time.process_time()
    table = model.embed(texts=texts).table()
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    vectors = table["embedding"].combine_chunks().flatten().to_numpy().reshape(len(texts), -1)
    np.save(given.out, vectors.astype(np.float32))
    report = {"texts": len(texts), "seconds": seconds, "seconds_each": seconds / len(texts)}
    report |= {"cpu_each": cpu / len(texts)}
    print(json.dumps(report | {"dtype": model.dtype, "threads": torch.get_num_threads()}))


if __name__ == "__main__":
    main()
