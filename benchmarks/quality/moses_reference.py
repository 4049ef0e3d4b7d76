"""Our MOSES measures against those of the package molsets 0.3.1, on the same 10,000 strings.

    python benchmarks/quality/moses_reference.py --data FOLDER --reference-python PYTHON

FOLDER holds molsets 0.3.1 and fcd_torch 1.0.7 unzipped side by side (`moses/`, `fcd_torch/`);
PYTHON is an interpreter of an environment with both installed without their pinned dependencies
and recent numpy, pandas, scipy, rdkit, torch and matplotlib. `--limit N` takes only the first N
molecules of Test and TestSF (a quick trial; the committed table has none).

The package is of 2020 and stops on import with today's libraries. Nothing of it is changed on
disk: `_as_in_2020` gives the four names back that its dependencies have dropped since.
"""

import argparse
import hashlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent.parent / "results"
TOLERANCE = 1e-3
SYMBOLS = "CCCNOSFcno=#()12[]-+"
ODDITIES = [
    "CC(=O)[O-].[Na+]",
    "[Na+].[Cl-]",
    "C[N+](C)(C)CC(=O)[O-]",
    "O=[N+]([O-])c1ccccc1",
    "F/C=C/F",
    "C[C@H](N)C(=O)O",
    "O=C1CCCCCCCCCCCCCCO1",
    "C[Si](C)(C)C",
    "[13CH4]",
    "C",
    "BrBr",
    "[Cu]",
]


def molecules(train: Sequence[str], test: Sequence[str], seed: int = 0) -> list[str]:
    """10,000 strings on which no measure is trivial: known, new, repeated, odd and invalid."""
    chance = random.Random(seed)
    known = chance.sample(train, 2_000)
    changed = [_changed(text, chance, valid=True) for text in chance.sample(train, 7_000)]
    broken = [_changed(text, chance, valid=False) for text in chance.sample(train, 150)]
    found = [*known, *changed, *chance.sample(test, 700), *broken, *ODDITIES, *([""] * 10)]
    found += chance.sample(known + changed, 10_000 - len(found))
    chance.shuffle(found)
    return found


def _changed(text: str, chance: random.Random, *, valid: bool) -> str:
    """`text` with one to three symbols replaced, put in or left out, as RDKit judges it."""
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        while True:
            symbols = list(text)
            for _ in range(chance.randint(1, 3)):
                at = chance.randrange(len(symbols))
                new = chance.choice([[], [chance.choice(SYMBOLS)]])
                symbols[at : at + chance.randint(0, 1)] = new
            changed = "".join(symbols)
            read = Chem.MolFromSmiles(changed)
            # The package stops at a molecule whose canonical SMILES cannot be read again.
            if read is not None and Chem.MolFromSmiles(Chem.MolToSmiles(read)) is None:
                continue
            if changed not in ("", text) and (read is not None) == valid:
                return changed


def _as_in_2020() -> None:
    """Names that numpy, pandas and RDKit had when the package was written."""
    import types

    import numpy as np
    import pandas as pd

    six = types.ModuleType("rdkit.six")
    six.iteritems = lambda mapping: iter(mapping.items())  # type: ignore[attr-defined]
    sys.modules["rdkit.six"] = six
    np.NaN = np.nan
    np.row_stack = np.vstack
    pd.DataFrame.append = lambda self, other, sort=False: pd.concat([self, other], sort=sort)


def _statistics(smiles: Sequence[str], part: int = 5_000) -> dict[str, Any]:
    """The package's `compute_intermediate_statistics`, part by part.

    Run whole, the package was killed for memory at 21.9 GB; counts add up and values join, and
    FCD's moments, which do not, are taken by the package from the whole set.
    """
    from collections import Counter

    import numpy as np
    from moses.metrics import metrics
    from moses.metrics.utils import get_mol

    found: dict[str, Any] = {"FCD": metrics.FCDMetric().precalc(smiles)}
    functions = {name: getattr(metrics, name) for name in ("logP", "SA", "QED", "weight")}
    tables, counts, values = [], {"Frag": Counter(), "Scaf": Counter()}, {n: [] for n in functions}
    for at in range(0, len(smiles), part):
        mols = [get_mol(text) for text in smiles[at : at + part]]
        tables.append(metrics.SNNMetric().precalc(mols)["fps"])
        counts["Frag"].update(metrics.FragMetric().precalc(mols)["frag"])
        counts["Scaf"].update(metrics.ScafMetric().precalc(mols)["scaf"])
        for name, function in functions.items():
            values[name] += metrics.WassersteinMetric(function).precalc(mols)["values"]
    found["SNN"] = {"fps": np.vstack(tables)}
    found["Frag"] = {"frag": counts["Frag"]}
    found["Scaf"] = {"scaf": counts["Scaf"]}
    return found | {name: {"values": numbers} for name, numbers in values.items()}


def reference(strings: Sequence[str], limit: int | None) -> dict[str, Any]:
    """The package's figures, from its own code and data; runs in the package's environment."""
    _as_in_2020()
    from importlib import metadata

    import moses
    from moses.dataset import get_dataset

    started = time.perf_counter()
    sets = {name: list(get_dataset(name)[:limit]) for name in ("test", "test_scaffolds")}
    values = moses.get_all_metrics(
        list(strings),
        **sets,
        **{f"p{name}": _statistics(smiles) for name, smiles in sets.items()},
    )
    values["novelty"] = values.pop("Novelty")
    names = ("molsets", "fcd-torch", "rdkit", "numpy", "pandas", "scipy", "torch")
    return {
        "values": {name: float(value) for name, value in values.items()},
        "seconds": round(time.perf_counter() - started, 1),
        "versions": {name: metadata.version(name) for name in names},
    }


def ours(strings: Sequence[str], folder: Path, cache: Path, limit: int | None) -> dict[str, Any]:
    """Our figures from the same files."""
    import tempfile

    import torch
    from rdkit import rdBase

    from foundation.domains.molecule.metrics import moses
    from foundation.domains.molecule.moses import MosesData, read_smiles

    sets = folder / "moses" / "dataset" / "data"
    tables = folder / "moses" / "metrics"
    with tempfile.TemporaryDirectory() as scratch:
        references = {}
        for name in ("test", "test_scaffolds"):
            references[name] = Path(scratch) / f"{name}.csv"
            smiles = list(read_smiles(sets / f"{name}.csv.gz"))[:limit]
            references[name].write_text("\n".join(["SMILES", *smiles]) + "\n")
        data = MosesData(
            train=sets / "train.csv.gz",
            **references,
            mcf=tables / "mcf.csv",
            pains=tables / "wehi_pains.csv",
            chemnet=folder / "fcd_torch" / "ChemNet_v0.13_pretrained.pt",
            cache=cache,
        )
        started = time.perf_counter()
        values = moses(strings, data)
    return {
        "values": values,
        "seconds": round(time.perf_counter() - started, 1),
        "versions": {"rdkit": rdBase.rdkitVersion, "torch": torch.__version__},
    }


def compare(theirs: dict[str, Any], mine: dict[str, Any]) -> list[dict[str, Any]]:
    """A row a measure, in our order."""
    rows = []
    for name, value in mine["values"].items():
        gap = abs(value - theirs["values"][name])
        rows.append({"measure": name, "molsets": theirs["values"][name], "ours": value, "gap": gap})
    return rows


def report(result: dict[str, Any]) -> str:
    """The committed page."""
    versions = result["molsets"]["versions"]
    sizes = (
        f"the first {result['limit']:,} of each" if result["limit"] else "all of Test and TestSF"
    )
    lines = [
        "# MOSES: our measures against molsets 0.3.1",
        "",
        f"10,000 strings (seed 0: known, changed, repeated, odd and invalid), {sizes}.",
        f"Largest gap {result['largest_gap']:.1e}, allowed {TOLERANCE:g}.",
        "",
        "| measure | molsets 0.3.1 | ours | gap |",
        "| --- | ---: | ---: | ---: |",
        *(
            f"| {row['measure']} | {row['molsets']:.6f} | {row['ours']:.6f} | {row['gap']:.1e} |"
            for row in result["rows"]
        ),
        "",
        "Command: `python benchmarks/quality/moses_reference.py --data FOLDER --reference-python "
        "PYTHON`; the head of the script says what the two are.",
        "",
        "The package ran in its own environment ("
        + ", ".join(f"{name} {version}" for name, version in versions.items())
        + "), unchanged on disk. Given back to it at run time: `rdkit.six`, `numpy.NaN`,"
        " `numpy.row_stack` and `pandas.DataFrame.append`. Its statistics of Test and TestSF are"
        " computed by its own functions, 5,000 molecules at a time: run whole, it was killed for"
        " memory at 21.9 GB. SA does not differ by its table: the package's"
        " `fpscores.pkl.gz` and the one of RDKit's Contrib are the same bytes.",
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--reference-python", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/foundation/moses"))
    parser.add_argument("--limit", type=int)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--as-reference", nargs=2, type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.as_reference:
        strings, path = given.as_reference
        found = reference(json.loads(strings.read_text()), given.limit)
        path.write_text(json.dumps(found))
        return 0

    from foundation.domains.molecule.moses import read_smiles
    from foundation.durable import write_json, write_text

    sets = given.data / "moses" / "dataset" / "data"
    train, test = (list(read_smiles(sets / f"{name}.csv.gz")) for name in ("train", "test"))
    strings = molecules(train, test)
    cache = given.cache.expanduser()
    cache.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256("\n".join(strings).encode()).hexdigest()[:8]
    kept = cache / f"molsets-{digest}-{given.limit or 'all'}.json"
    if not kept.exists():
        _run_reference(given.reference_python, strings, kept, given.limit)
    theirs = json.loads(kept.read_text())
    mine = ours(strings, given.data, cache, given.limit)
    rows = compare(theirs, mine)
    largest = max(row["gap"] for row in rows)
    result = {
        "largest_gap": largest,
        "limit": given.limit,
        "rows": rows,
        "molsets": {key: theirs[key] for key in ("seconds", "versions")},
        "ours": {key: mine[key] for key in ("seconds", "versions")},
    }
    write_json(given.results / "moses_reference.json", result)
    write_text(given.results / "moses_reference.md", report(result))
    print(report(result))
    return 0 if largest <= TOLERANCE else 1


def _run_reference(python: Path, strings: Sequence[str], path: Path, limit: int | None) -> None:
    import tempfile

    with tempfile.NamedTemporaryFile("w", suffix=".json") as handed:
        json.dump(strings, handed)
        handed.flush()
        command = [str(python), __file__, "--as-reference", handed.name, str(path)]
        subprocess.run([*command, *(["--limit", str(limit)] if limit else [])], check=True)


if __name__ == "__main__":
    sys.exit(main())
