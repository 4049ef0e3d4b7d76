"""Does a small infilling model for Python earn its place? Three ways to fill in one line.

    python -m benchmarks.quality.infilling --work runs/infill \\
        --humaneval HumanEval-SingleLineInfilling.jsonl.gz

`--work` is the folder of `benchmarks.quality.infilling_corpus`, in which its `model/` was trained:

    foundation model=code/starcoder2-3b model.name=code/infilling-python \\
        model.path=runs/infill/model task=tune task.method=pretrain \\
        task.data=runs/infill/train.jsonl task.validation=0 recipe.steps=620 recipe.decay=0.45 \\
        recipe.batch=32 recipe.rate=0.003 recipe.schedule=trapezoid recipe.optimizer=muon \\
        recipe.precision=bfloat16 recipe.augment=0.9 +recipe.options.length=320 seed=1 \\
        hydra.run.dir=runs/infill/train

The one that was measured had its steps changed twice while it ran (3,000, 500, 620), so that its
rate fell a little otherwise: the record has its curve.

small: that model with task=infill, which sees 700 characters before the hole and 300 behind it.
left: SmolLM2-135M with task=complete, which sees 1,000 characters before it.
similar: no model; of all other lines of the file the one whose neighbours, the line before and the
line behind it, have most tokens in common with those of the hole.

All fill the same holes: lines of packages that were held out whole, and of HumanEval-infilling,
where the program is also run. exact: the same line, blanks at its ends aside. similarity: 2 M / T
of difflib. What a side wrote is kept in `--work` and not written again.
"""

import argparse
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from benchmarks.interval import interval
from benchmarks.quality.infilling_corpus import humaneval
from benchmarks.record import save
from foundation.durable import write_json

HOLE = "<|the missing line|>"
BEFORE, BEHIND = 700, 300
"""Characters that the small model sees; the other one sees as many, all before the hole."""
Hole = Mapping[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--humaneval", type=Path, required=True)
    parser.add_argument("--holes", type=int, default=150, help="of each of the two sources")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    given = parser.parse_args()
    parts = {
        "held-out packages": _lines(given.work / "holes.jsonl")[: given.holes],
        "HumanEval-infilling": _problems(given.humaneval, given.holes),
    }
    found = {part: _answers(part, holes, given) for part, holes in parts.items()}
    if given.sides != list(SIDES):
        return
    measured = {part: compared(parts[part], answers) for part, answers in found.items()}
    command = f"python -m benchmarks.quality.infilling --holes {given.holes}"
    print(save("infilling", {"command": command, **training(given.work), "measured": measured}))


def _answers(part: str, holes: Sequence[Hole], given: argparse.Namespace) -> dict[str, list[str]]:
    found = {}
    for side in given.sides:
        path = given.work / f"{part.replace(' ', '-')}-{side}-{len(holes)}.json"
        if not path.exists():
            write_json(path, SIDES[side](holes, given.work))
        found[side] = json.loads(path.read_text(encoding="utf-8"))
    return found


def small(holes: Sequence[Hole], work: Path) -> list[str]:
    """By the trained model, in its own template."""
    import foundation as fm

    model = fm.load(
        "code/starcoder2-3b", path=str(work / "train" / "model"),
        placement={"name": "cpu", "threads": 1},
    )  # fmt: skip
    shown = [f"{_end(hole['text'], BEFORE)}{HOLE}{_start(hole['suffix'])}" for hole in holes]
    return _written(model.infill(prompts=shown, hole=HOLE, until="line", max_tokens=64))


def left(holes: Sequence[Hole], work: Path) -> list[str]:
    """By SmolLM2, which goes on from what stands before the hole."""
    import foundation as fm

    model = fm.load("code/smollm2-135m", placement={"name": "cpu", "threads": 1})
    shown = [_end(hole["text"], BEFORE + BEHIND) or "\n" for hole in holes]
    return _written(model.complete(prompts=shown, hole=HOLE, until="line", max_tokens=64))


def _written(results: Any) -> list[str]:
    """What was written, in the order of the holes; nothing where a row was refused."""
    rows = sorted(results.table().to_pylist(), key=lambda row: int(row["id"]))
    return [row["output"] or "" for row in rows]


def similar(holes: Sequence[Hole], work: Path) -> list[str]:
    """By the line of the file whose neighbours are most alike; of equal ones the nearest."""
    return [_similar(hole) for hole in holes]


def _similar(hole: Hole) -> str:
    before, behind = ([line for line in hole[part].splitlines() if line.strip()]
                      for part in ("text", "suffix"))  # fmt: skip
    lines = ["", *before, "", *behind, ""]  # the hole's own place is blank
    words = [frozenset(re.findall(r"\w+|[^\w\s]", line)) for line in lines]
    own = len(before) + 1

    def alike(place: int) -> tuple[float, int]:
        pairs = ((place - 1, own - 1), (place + 1, own + 1))
        return sum(_jaccard(words[one], words[other]) for one, other in pairs), -abs(place - own)

    places = [place for place in range(1, len(lines) - 1) if place != own]
    return f"{lines[max(places, key=alike)]}\n" if places else ""


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other) if one and other else 0.0


def _end(text: str, characters: int) -> str:
    """The last whole lines of a text that are at most so many characters."""
    if len(text) <= characters:
        return text
    return text[-characters:].partition("\n")[2] or text[-characters:]


def _start(text: str) -> str:
    return text if len(text) <= BEHIND else text[:BEHIND].rpartition("\n")[0] or text[:BEHIND]


SIDES: dict[str, Callable[[Sequence[Hole], Path], list[str]]] = {
    "small": small, "left": left, "similar": similar,
}  # fmt: skip


def compared(holes: Sequence[Hole], answers: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Each side's means with intervals, and how far the small model is ahead, hole by hole."""
    scores = {
        side: [_scores(hole, text) for hole, text in zip(holes, texts, strict=True)]
        for side, texts in answers.items()
    }
    names = list(scores["small"][0])
    columns = {s: {n: [row[n] for row in rows] for n in names} for s, rows in scores.items()}
    ahead = {
        f"small - {other}": {
            n: asdict(interval([a - b for a, b in zip(columns["small"][n], columns[other][n],
                                                     strict=True)]))
            for n in names
        }
        for other in ("left", "similar")
    }  # fmt: skip
    each = {s: {n: asdict(interval(values)) for n, values in c.items()} for s, c in columns.items()}
    return {"holes": len(holes), **each, **ahead}


def _scores(hole: Hole, text: str) -> dict[str, float]:
    wanted, written = hole["completion"].strip(), text.strip()
    found = {
        "exact": float(wanted == written),
        "similarity": SequenceMatcher(None, wanted, written, autojunk=False).ratio(),
    }
    return found | ({"passes": float(_passes(hole, text))} if "test" in hole else {})


def _passes(hole: Hole, text: str) -> bool:
    from foundation.domains.code.sandbox import judge

    own = hole["text"] + hole["completion"] + hole["suffix"]
    line = text if text.endswith("\n") else f"{text}\n"
    program = hole["text"] + line + hole["suffix"]
    return judge(program, hole["test"], hole["entry_point"], given=own).passed


def training(work: Path) -> dict[str, Any]:
    """What the small model is and how it was trained, from the run's own record and the corpus."""
    import pyarrow.parquet as parquet
    from safetensors import safe_open

    curve = parquet.read_table(work / "train" / "curve.parquet").select(["step", "loss", "rate"])
    record = json.loads((work / "train" / "record.json").read_text(encoding="utf-8"))
    corpus = json.loads((work / "packages.json").read_text(encoding="utf-8"))
    with safe_open(work / "train" / "model" / "model.safetensors", "pt") as weights:
        sizes = [weights.get_tensor(name).numel() for name in weights.keys()]  # noqa: SIM118
    recipe = record["config"]["recipe"]
    rows = record["counts"]["steps"] * recipe["batch"]
    return {
        "parameters": sum(sizes),
        "training": {"recipe": recipe, "counts": record["counts"],
                     "precision": record["precision"], "curve": curve.to_pylist(),
                     "tokens": round(rows * tokens_of(work, recipe["options"]["length"]))},
        "corpus": corpus,
    }  # fmt: skip


def tokens_of(work: Path, length: int, every: int = 100) -> float:
    """Tokens of a training row on average, over some of them; a window holds `length`."""
    from foundation.pretrained import read_tokenizer

    tokenizer = read_tokenizer(work / "model")
    texts = [row["text"] for row in _lines(work / "train.jsonl")[::every]]
    counts = [min(length, len(ids) + 1) for ids in tokenizer(texts).input_ids]
    return sum(counts) / len(counts)


def _lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _problems(path: Path, count: int) -> list[dict[str, str]]:
    """As many single-line problems, evenly from all."""
    rows = list(humaneval(path))
    some = [rows[place * len(rows) // count] for place in range(min(count, len(rows)))]
    return [{**row, "text": row["prompt"], "completion": row["canonical_solution"]} for row in some]


if __name__ == "__main__":
    main()
