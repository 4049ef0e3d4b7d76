"""What a user would write to have molecules with their columns: transformers.generate and RDKit.

    python -m benchmarks.molecule_baseline --data FOLDER --count 3000 --columns all

FOLDER holds MOSES' train.csv and test.csv. The last line of standard output is a JSON object.

The model is a GPT-2 of the starter's size (4.9 M parameters) over characters, sampled with its key
and value cache by `generate(do_sample=True)`. It is not trained: what it costs does not depend on
its weights, but what it would write does, so the molecules that are checked are as many of MOSES'
test set, and each batch is generated until the longest of its molecules ends, as generate does.
What favours it: all of its molecules are valid; no end is looked for, no text decoded; the dtype
and the batch are the best on this machine (see molecule_throughput); the training set is a Python
set of the file's strings, and reading it is left out of every time; one CSV is written, no picture
and no SDF.
"""

import argparse
import csv
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

SHORT = ("parses", "sanitises", "canonical", "unique", "novel")
VOCABULARY, BEGIN, PAD = 48, 1, 0
Row = dict[str, Any]


def network(dtype: str) -> Any:
    """The untrained GPT-2: 6 layers, 256 wide, 8 heads; 4.9 M parameters."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=VOCABULARY, n_positions=512, n_embd=256, n_layer=6, n_head=8,
        bos_token_id=BEGIN, eos_token_id=None, pad_token_id=PAD,
    )  # fmt: skip
    torch.manual_seed(0)
    return GPT2LMHeadModel(config).eval().to(getattr(torch, dtype))


def generate(model: Any, rows: int, tokens: int) -> Any:
    """Sample `tokens` tokens in each of `rows` rows."""
    import torch

    begin = torch.full((rows, 1), BEGIN)
    with torch.inference_mode():
        return model.generate(
            begin, attention_mask=torch.ones_like(begin), do_sample=True, top_k=0, use_cache=True,
            max_new_tokens=tokens,
        )  # fmt: skip


def checks(columns: str, known: "set[str]") -> Callable[[str], Row]:
    """RDKit's own functions, one molecule after the other."""
    from rdkit import Chem

    seen: set[str] = set()
    described = _described() if columns == "all" else lambda molecule: {}

    def check(smiles: str) -> Row:
        molecule = Chem.MolFromSmiles(smiles)
        if molecule is None:
            return {"parses": False, "sanitises": False}
        canonical = Chem.MolToSmiles(molecule)
        row = {"parses": True, "sanitises": True, "canonical": canonical}
        row |= {"unique": canonical not in seen, "novel": canonical not in known}
        seen.add(canonical)
        return row | described(molecule)

    return check


def _described() -> Callable[[Any], Row]:
    from rdkit import RDConfig
    from rdkit.Chem import QED, Crippen, Descriptors, MolToInchiKey
    from rdkit.Chem.FilterCatalog import FilterCatalog, FilterCatalogParams

    sys.path.append(str(Path(RDConfig.RDContribDir) / "SA_Score"))
    import sascorer

    families = FilterCatalogParams.FilterCatalogs
    pains, brenk = FilterCatalog(families.PAINS), FilterCatalog(families.BRENK)

    def describe(molecule: Any) -> Row:
        weight, logp = Descriptors.MolWt(molecule), Crippen.MolLogP(molecule)
        donors, acceptors = Descriptors.NumHDonors(molecule), Descriptors.NumHAcceptors(molecule)
        broken = (weight > 500) + (logp > 5) + (donors > 5) + (acceptors > 10)
        return {
            "inchikey": MolToInchiKey(molecule),
            "weight": weight,
            "logp": logp,
            "tpsa": Descriptors.TPSA(molecule),
            "donors": donors,
            "acceptors": acceptors,
            "rotatable_bonds": Descriptors.NumRotatableBonds(molecule),
            "rings": Descriptors.RingCount(molecule),
            "qed": QED.qed(molecule),
            "sa": sascorer.calculateScore(molecule),
            "lipinski": broken <= 1,
            "pains": [match.GetDescription() for match in pains.GetMatches(molecule)],
            "brenk": [match.GetDescription() for match in brenk.GetMatches(molecule)],
        }

    return describe


def loop(
    model: Any, molecules: Sequence[str], batch: int, check: Callable[[str], Row], path: Path
) -> float:
    """Generate and check a batch at a time and write the CSV; seconds spent generating."""
    rows: list[Row] = []
    generating = 0.0
    for batched in batches(molecules, batch):
        began = time.perf_counter()
        generate(model, len(batched), longest(batched))
        generating += time.perf_counter() - began
        rows += [check(smiles) for smiles in batched]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return generating


def batches(molecules: Sequence[str], batch: int) -> Iterator[Sequence[str]]:
    return (molecules[start : start + batch] for start in range(0, len(molecules), batch))


def longest(molecules: Sequence[str]) -> int:
    """Tokens that a batch takes: the characters of its longest molecule and the end."""
    return max(map(len, molecules)) + 1


def read(path: Path) -> list[str]:
    """The SMILES column of one of MOSES' files."""
    with path.open(newline="", encoding="utf-8") as file:
        return [row["SMILES"] for row in csv.DictReader(file)]


def sample(data: Path, count: int, seed: int = 0) -> list[str]:
    return random.Random(seed).sample(read(data / "test.csv"), count)


def fastest(data: Path, batch: int, dtype: str) -> float:
    """Seconds a molecule that generating alone takes at a batch, the better of two."""
    model = network(dtype)
    molecules = sample(data, batch)
    generate(model, batch, 4)
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        generate(model, batch, longest(molecules))
        seconds.append(time.perf_counter() - began)
    return min(seconds) / batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--columns", choices=("short", "all"), default="all")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    given = parser.parse_args()

    began = time.perf_counter()
    known, molecules = set(read(given.data / "train.csv")), sample(given.data, given.count)
    reading = time.perf_counter() - began
    model = network(given.dtype)
    check = checks(given.columns, known)
    check("CCO"), generate(model, given.batch, 4)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        generating = loop(model, molecules, given.batch, check, Path(folder) / "molecules.csv")
        seconds = time.perf_counter() - began
    report = {
        "count": given.count,
        "seconds": seconds,
        "seconds_each": seconds / given.count,
        "generating_each": generating / given.count,
        "checking_each": (seconds - generating) / given.count,
        "reading": reading,
        "parameters": model.num_parameters(),
        "threads": _threads(),
    }
    print(json.dumps(report))


def _threads() -> int:
    import torch

    return int(torch.get_num_threads())


if __name__ == "__main__":
    main()
