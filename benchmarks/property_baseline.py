"""A class of molecules told from few, by torch-molecule's graph network as it comes.

    PYTHON benchmarks/property_baseline.py --train FILE.csv --test FILE.csv

PYTHON is an environment with torch-molecule; nothing of the toolkit is imported. Both files have
the columns `smiles` and `label` (high or low). The last line of standard output is a JSON object.
"""

import argparse
import csv
import json
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--features", nargs="*", help="fingerprints beside the graph")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()

    import numpy as np
    import torch
    from torch_molecule import GNNMolecularPredictor

    torch.manual_seed(given.seed)
    train, test = read(given.train), read(given.test)
    model = GNNMolecularPredictor(
        task_type="classification", augmented_feature=given.features or None, device="cpu"
    )
    began = time.perf_counter()
    model.fit(train[0], np.asarray(train[1]))
    seconds = time.perf_counter() - began
    told = np.asarray(model.predict(test[0])["prediction"]).reshape(-1) > 0  # logits
    right = told == np.asarray(test[1], dtype=bool).reshape(-1)
    report = {"accuracy": float(right.mean()), "seconds": seconds}
    print(json.dumps(report | {"epochs": model.fitting_epoch}))


def read(path: Path):
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [row["smiles"] for row in rows], [[float(row["label"] == "high")] for row in rows]


if __name__ == "__main__":
    main()
