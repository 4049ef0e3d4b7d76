"""Whether `task=adapt` recommends well: its choice on held-out data, over draws of few rows.

    python -m benchmarks.quality.adapt --sets banking77 snips --draws 5

Of each set some rows a label are drawn, `foundation.tuning.comparing` cross-validates every way on
them, and every way is then fitted to all of them and measured on held-out rows. What counts is how
far the recommended way lies behind the one that is best there (which no one can know beforehand).
Each fit is kept with its predictions: a run that was stopped goes on, and another rule of choice is
measured without a fit.
"""

import argparse
import csv
import gzip
import json
import math
import random
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.interval import interval
from benchmarks.record import RESULTS, save
from foundation.durable import replacing

Pairs = list[tuple[str, str]]
MOSES = {
    name: (f"wheel:molsets==0.3.1/moses/dataset/data/{name}.csv.gz", digest)
    for name, digest in {
        "test": "f896fbf3764f88d94670b9959e5872c600c12152a18233823e820761b7a791b2",
    }.items()
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the number of the first draw")
    parser.add_argument("--methods", nargs="+", help="only these, beside those that are done")
    parser.add_argument("--again", action="store_true", help="choose again from the kept fits")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="of LoRA and full; default: the recipes'")
    parser.add_argument("--test", type=int, default=500, help="held-out rows")
    parser.add_argument("--work", type=Path, default=Path("runs/adapt-benchmark"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    for name in given.sets:
        for draw in range(given.first, given.first + given.draws):
            _draw(name, draw, given)
            _report(given)
    return 0


def _draw(name: str, draw: int, given: argparse.Namespace) -> None:
    """One draw of one set, kept in the working folder."""
    path = given.work / f"{name}-{draw}.json"
    folder = given.work / f"{name}-{draw}"
    folder.mkdir(parents=True, exist_ok=True)
    model_name, ways, load, each = SETS[name]
    if not (folder / "test.csv").exists():
        drawn(folder, load(), each, draw, given.test)
    if given.methods:
        done = {found.stem.removeprefix("test-") for found in folder.glob("test-*.npy")}
        ways = [way for way in ways if way in {*given.methods, *done}]
    known = json.loads(path.read_text())["test"] if path.exists() else {}
    if set(ways) <= set(known) and not given.again:
        return
    path.write_text(json.dumps(_measured(folder, model_name, ways, draw, given)))


def drawn(folder: Path, loaded: "Loaded", each: int, draw: int, most: int) -> None:
    """few.csv, `each` rows of every label, and test.csv."""
    train, test, fields = loaded
    chance = random.Random(draw)
    chance.shuffle(train)
    taken: dict[str, int] = {}
    few = []
    for text, label in train:
        taken[label] = taken.get(label, 0) + 1
        if taken[label] <= each:
            few.append((text, label))
    chance.shuffle(test)
    for file, rows in (("few.csv", few), ("test.csv", test[:most])):
        with (folder / file).open("w", newline="", encoding="utf-8") as out:
            csv.writer(out).writerows([fields, *rows])


def _measured(
    folder: Path, model_name: str, ways: Sequence[str], draw: int, given: argparse.Namespace
) -> dict[str, Any]:
    import foundation as fm
    from foundation import registry
    from foundation.tuning.comparing import Comparison
    from foundation.tuning.data import Wanted, gather

    model = fm.load(model_name)
    tuning = registry.domain(model.spec.domain).tuning
    assert tuning is not None
    data = gather(tuning, Wanted(str(folder / "few.csv"), validation=0.0), folder / "data")
    test = gather(tuning, Wanted(str(folder / "test.csv"), validation=0.0), folder / "test")
    comparison = Comparison(
        model, tuning, data.rows, folder / f"folds-{given.folds}", folds=given.folds, seed=draw,
        rank=8, recipe=RECIPES.get(model.spec.domain, {}), deadline=None,
    )  # fmt: skip
    if given.steps:
        comparison.steps = given.steps
    found = comparison.compared([comparison.measure(way, lambda _: None) for way in ways])
    asked = {way: _asked(comparison, way, data.rows, test.rows, folder) for way in ways}
    model.close()
    inside = {each.way: each.score for each in found}
    counts = {"rows": len(data.rows), "tested": len(test.rows)}
    return {"draw": draw, "folds": inside, "test": asked, "recommended": found[0].way, **counts}


def _asked(comparison: Any, way: str, rows: Any, test: Any, folder: Path) -> float:
    """Of a way fitted to all rows, accuracy on held-out rows; its predictions are kept.

    Of code the mean probability of a token (geometric).
    """
    import numpy as np

    kept = folder / f"test-{way}.npy"
    if not kept.exists():
        with tempfile.TemporaryDirectory() as scratch:
            answers = comparison.answers(way, rows, test, Path(scratch))
        with replacing(kept) as part, part.open("wb") as file:
            np.save(file, answers)
    mean = float(comparison.scores(np.load(kept), list(test)).mean())
    return mean if comparison.goal else math.exp(mean)


def _report(given: argparse.Namespace) -> None:
    """The record of all draws there are, and a table on the screen."""
    sets: dict[str, Any] = {}
    for name in SETS:
        paths = sorted(given.work.glob(f"{name}-*.json"))
        draws = [json.loads(path.read_text()) for path in paths]
        if not draws:
            continue
        behind = [100 * (max(d["test"].values()) - d["test"][d["recommended"]]) for d in draws]
        shared = set.intersection(*(set(draw["test"]) for draw in draws))
        ways = {way: [d["test"][way] for d in draws] for way in SETS[name][1] if way in shared}
        fixed = max(ways, key=lambda way: sum(ways[way]))
        picked = [d["test"][d["recommended"]] for d in draws]
        sets[name] = {
            "model": SETS[name][0],
            "draws": draws,
            "accuracy": {way: mean_of(values) for way, values in ways.items()},
            "recommended": mean_of(picked),
            "points_behind_the_best_of_each_draw": mean_of(behind),
            "points_behind_the_best_way_over_all_draws": mean_of(
                [100 * (a - b) for a, b in zip(ways[fixed], picked, strict=True)]
            ),
        }
    given.out.mkdir(parents=True, exist_ok=True)
    settings = {"folds": given.folds, "steps": given.steps}
    behind = {n: s["points_behind_the_best_way_over_all_draws"]["mean"] for n, s in sets.items()}
    furthest = max(behind, key=lambda name: behind[name])
    told: dict[str, Any] = {"mean": sum(behind.values()) / len(behind), "most": behind[furthest]}
    told["furthest"] = furthest
    body = {"command": "python -m benchmarks.quality.adapt", "settings": settings}
    save("adapt", {**body, "points_behind": told, "sets": sets}, given.out)
    for name, each in sets.items():
        shown = ", ".join(f"{way} {v['mean']:.3f}" for way, v in each["accuracy"].items())
        gap = each["points_behind_the_best_of_each_draw"]
        print(f"{name} ({len(each['draws'])} draws): {shown}; recommended "
              f"{each['recommended']['mean']:.3f}, {gap['mean']:.2f} points behind")  # fmt: skip


def mean_of(values: Sequence[float]) -> dict[str, float]:
    """A mean and its interval, which one value alone does not have."""
    if len(values) < 2:
        return {"mean": values[0], "low": float("nan"), "high": float("nan")}
    found = interval(values)
    return {"mean": found.mean, "low": found.low, "high": found.high}


Loaded = tuple[Pairs, Pairs, tuple[str, str]]


def _corpus(name: str) -> Callable[[], Loaded]:
    def load() -> Loaded:
        from foundation.domains.language import corpora

        train, test = corpora.read(name)
        pairs = [[(each.text, each.label) for each in some] for some in (train, test)]
        return pairs[0], pairs[1], ("text", "label")

    return load


def _hatecheck() -> Loaded:
    """Hateful or not; whole templates are held out, since their sentences are nearly the same."""
    path = _data() / "text/trust/hatecheck_cases.csv"
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    held = {"train": [], "test": []}  # type: dict[str, Pairs]
    for row in rows:
        side = "test" if int(row["templ_id"] or 0) % 2 else "train"
        held[side].append((row["test_case"], row["label_gold"]))
    return held["train"], held["test"], ("text", "label")


def _property(name: str) -> Callable[[], Loaded]:
    """Above or below the median; scaffolds of the test are in no training row."""

    def load() -> Loaded:
        from rdkit import Chem, rdBase

        from foundation import hub
        from foundation.domains.molecule.descriptors import describe
        from foundation.domains.molecule.tuning import scaffold

        address, digest = MOSES["test"]
        source = hub.Source(address, None, {"test.csv.gz": digest})
        with gzip.open(hub.fetch([source])[0].path, "rt") as file:
            smiles = [row["SMILES"] for row in csv.DictReader(file)]
        smiles = random.Random(7).sample(smiles, 4000)
        with rdBase.BlockLogs():
            values = [describe(Chem.MolFromSmiles(each), [name])[name] for each in smiles]
            cores = [scaffold({"smiles": each}) for each in smiles]
        middle = sorted(values)[len(values) // 2]
        order = sorted(set(cores))
        random.Random(8).shuffle(order)
        kept = set(order[: len(order) // 2])
        sides: tuple[Pairs, Pairs] = ([], [])
        for text, value, core in zip(smiles, values, cores, strict=True):
            sides[core not in kept].append((text, "high" if value > middle else "low"))
        return *sides, ("smiles", "label")

    return load


def _chips(*classes: str) -> Callable[[], Loaded]:
    """Land cover of Sentinel-2 chips; those of the test lie at other longitudes (EuroSAT)."""

    def load() -> Loaded:
        sides = []
        for side in ("train", "val"):
            folder = _unpacked(_data() / f"rasters/eurosat_rgb/{side}.zip")
            found = sorted((folder / side).glob("*/*.jpg"))
            chosen = [chip for chip in found if not classes or chip.parent.name in classes]
            sides.append([(str(chip.resolve()), chip.parent.name) for chip in chosen])
        return sides[0], sides[1], ("raster", "label")

    return load


def _unpacked(path: Path) -> Path:
    """The folder of a zip's files, beside others of its kind among the temporary ones."""
    folder = Path(tempfile.gettempdir()) / "adapt-benchmark" / path.stem
    if not folder.exists():
        with zipfile.ZipFile(path) as packed:
            packed.extractall(part := folder.with_suffix(".part"))
        part.rename(folder)
    return folder


def _functions() -> Loaded:
    """Functions of this toolkit, which is younger than the model; files of the test are others."""
    import ast

    import foundation

    rows = []
    for path in sorted(Path(foundation.__file__).parent.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        found = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
        pieces = [ast.get_source_segment(text, node) or "" for node in found]
        rows += [(piece, path.stem) for piece in pieces if len(piece) > 200]
    files = sorted({file for _, file in rows})
    random.Random(9).shuffle(files)
    kept = set(files[: len(files) // 2])
    train = [row for row in rows if row[1] in kept]
    test = {file: piece for piece, file in rows if file not in kept}
    return train, [(piece, file) for file, piece in test.items()], ("text", "path")


def _data() -> Path:
    import os

    return Path(os.environ.get("FOUNDATION_DATA", "../shared/data"))


TEXT = ("words", "head", "lora")
MOLECULE = ("fingerprints", "descriptors", "head", "full")
CHIP = ("statistics", "head", "lora")
CODE = ("untuned", "lora")
RECIPES = {"code": {"batch": 4, "steps": 30, "options": {"length": 64}}}
"""What a processor of one thread has time for."""
FARMED = ("AnnualCrop", "HerbaceousVegetation", "Pasture", "PermanentCrop")
SETS: dict[str, tuple[str, Sequence[str], Callable[[], Loaded], int]] = {
    "banking77": ("language/minilm", TEXT, _corpus("banking77"), 3),
    "snips": ("language/minilm", TEXT, _corpus("snips"), 8),
    "hatecheck": ("language/minilm", TEXT, _hatecheck, 50),
    "qed": ("molecule/starter", MOLECULE, _property("qed"), 75),
    "sa": ("molecule/starter", MOLECULE, _property("sa"), 75),
    "eurosat": ("geospatial/starter", CHIP, _chips(), 8),
    "functions": ("code/smollm2-135m", CODE, _functions, 1),
    "farmed": ("geospatial/starter", CHIP, _chips(*FARMED), 20),
}


if __name__ == "__main__":
    raise SystemExit(main())
