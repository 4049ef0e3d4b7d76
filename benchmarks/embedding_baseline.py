"""Texts embedded by sentence-transformers, timed without import and load.

    PYTHON benchmarks/embedding_baseline.py --texts FILE --model FOLDER --out FILE.npy

PYTHON is an environment with sentence-transformers; nothing of the toolkit is imported. The last
line of standard output is a JSON object.
"""

import argparse
import json
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()

    import numpy as np
    import torch
    from sentence_transformers import SentenceTransformer

    texts = json.loads(given.texts.read_text(encoding="utf-8"))
    kind = {"dtype": getattr(torch, given.dtype)}
    model = SentenceTransformer(given.model, device="cpu", model_kwargs=kind)
    model.encode(texts[:8], batch_size=given.batch)
    began, cpu = time.perf_counter(), time.process_time()
    vectors = model.encode(texts, batch_size=given.batch, show_progress_bar=False)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    np.save(given.out, np.asarray(vectors, dtype=np.float32))
    report = {"texts": len(texts), "seconds": seconds, "seconds_each": seconds / len(texts)}
    report |= {"cpu_each": cpu / len(texts)}
    print(json.dumps(report | {"threads": torch.get_num_threads()}))


if __name__ == "__main__":
    main()
