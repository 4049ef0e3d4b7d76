"""What a small infilling model for Python is trained on: sources of installed packages.

    python -m benchmarks.quality.infilling_corpus --work runs/infill \\
        --humaneval HumanEval-SingleLineInfilling.jsonl.gz .venv/lib/python3.11/site-packages

Writes into `--work`: `train.jsonl`, pieces of files; `held_out.jsonl`, whole files of a tenth of
the packages; `holes.jsonl`, lines of these; `packages.json`, each with its version and licence as
its own metadata tells it, and how many files were left out for what; and `model/`, a tokenizer of
the training files and the configuration of a model without weights, for task.method=pretrain. Only
packages whose licences are all permissive are read, no code that they carry of others (`_vendor`),
no near duplicate of a file that is there already, and no file that has 13 tokens in a row of a
problem or solution of HumanEval. None of it is committed.
"""

import argparse
import gzip
import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from foundation.draws import Draws
from foundation.durable import write_json, write_text
from foundation.tuning.minhash import NEAR, bands, likeness, signature

PERMISSIVE = re.compile(
    r"mit|mit-cmu|mit-0|bsd|0bsd|bsd-[23]-clause|new bsd|apache(-| )?(2\.0)?|isc|isc license|psf"
    r"|psf-2\.0|python-2\.0|unlicense|zlib|bsl-1\.0|cc0-1\.0|zpl-2\.1|hpnd|cnri-python|bsd 3-clause"
    r"|3-clause bsd|apache software license|mit license|bsd license|isc license \(iscl\)"
    r"|python software foundation license|apache license|apache license,? (version )?2\.0"
    r"|bsd 3-clause license|apache 2\.0 license|the unlicense( \(unlicense\))?"
)
FOREIGN = re.compile(r"(^|/)(_?vendor(ed)?|_vendored?|extern|externals|third_?party)(/|$)")
GRAM = 13
PIECE = 1000
"""Characters of a training row, about what a window of 256 tokens holds."""
LARGEST, MOST, LONGEST = 200_000, 4_000_000, 120
"""Characters of a file, characters of one package, and characters of a line that is a hole."""
SPECIAL = ("<|endoftext|>", "<fim_prefix>", "<fim_middle>", "<fim_suffix>")
SHAPE = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 192,
    "intermediate_size": 512, "num_hidden_layers": 6, "num_attention_heads": 6,
    "num_key_value_heads": 6, "max_position_embeddings": 1024, "tie_word_embeddings": True,
    "bos_token_id": 0, "eos_token_id": 0, "rms_norm_eps": 1e-5,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("site_packages", nargs="+", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--humaneval", type=Path, required=True, help="a file of its problems")
    parser.add_argument("--vocabulary", type=int, default=4096)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    files, told = corpus(given.site_packages, grams_of(given.humaneval))
    held = {name for name in told["packages"] if _tenth(name)}
    for name, package in told["packages"].items():
        package["held_out"] = name in held
    train = [file for file in files if file["package"] not in held]
    rest = [file for file in files if file["package"] in held]
    _write(given.work / "held_out.jsonl", rest)
    _write(given.work / "holes.jsonl", holes(rest, 512, seed=1))
    _write(given.work / "train.jsonl", (piece for file in train for piece in pieces(file)))
    told["digest"] = hashlib.sha256((given.work / "train.jsonl").read_bytes()).hexdigest()
    told["characters"] = {
        "train": sum(len(f["text"]) for f in train), "held_out": sum(len(f["text"]) for f in rest)
    }  # fmt: skip
    write_json(given.work / "packages.json", told)
    begin(train, given.vocabulary, given.work / "model")
    print({key: value for key, value in told.items() if key != "packages"})


def corpus(
    folders: Sequence[Path], forbidden: set[int]
) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """Files that may be used, and which packages were read or left out and why."""
    packages: dict[str, dict[str, Any]] = {}
    refused: dict[str, str] = {}
    left: Counter[str] = Counter()
    found: list[dict[str, str]] = []
    seen = Seen()
    for package in distributions(path=[str(folder) for folder in folders]):
        name = (package.metadata["Name"] or "").lower().replace("_", "-")
        if not name or name in packages or name in refused:
            continue
        licence = licence_of(package)
        if not permissive(licence):
            refused[name] = " / ".join(licence) or "no licence told"
            continue
        count = len(found)
        found += _files(package, name, forbidden, seen, left)
        if len(found) > count:
            packages[name] = {
                "version": package.version, "licence": licence, "files": len(found) - count
            }  # fmt: skip
    return found, {"packages": packages, "refused": refused, "files_left_out": dict(left)}


def licence_of(package: Distribution) -> list[str]:
    """What a package's metadata says: its expression, else its classifiers, else its first line."""
    told = package.metadata
    if told.get("License-Expression"):
        return [part.strip(" ()") for part in re.split(r" (?:AND|OR) ", told["License-Expression"])]
    last = [c.rpartition(" :: ")[2] for c in told.get_all("Classifier", []) if "License ::" in c]
    last = [name for name in last if name not in ("OSI Approved", "DFSG approved")]
    first = (told.get("License") or "").strip().partition("\n")[0]
    return last or ([first] if first else [])


def permissive(licences: Sequence[str]) -> bool:
    """Whether there is one, and all are permissive: of a choice of two, both must be."""
    return bool(licences) and all(PERMISSIVE.fullmatch(name.lower()) for name in licences)


def _files(
    package: Distribution, name: str, forbidden: set[int], seen: "Seen", left: Counter[str]
) -> Iterator[dict[str, str]]:
    size = 0
    for file in sorted(package.files or (), key=str):
        if file.suffix != ".py" or ".." in file.parts:
            continue
        reason, text = _text(Path(str(file.locate())), forbidden, seen)
        reason = "another's code" if FOREIGN.search(str(file)) else reason
        reason = "the package has more" if size + len(text) > MOST else reason
        if reason:
            left[reason] += 1
            continue
        size += len(text)
        seen.add(text)
        yield {"text": text, "path": str(file), "package": name}


def _text(path: Path, forbidden: set[int], seen: "Seen") -> tuple[str, str]:
    """Why a file is left out, or "", and its text."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return "cannot be read", ""
    if len(text) < 200 or len(text) > LARGEST:
        return "too short or too long", ""
    if max(map(len, text.split("\n"))) > 1000 or "generated" in text[:500].lower():
        return "written by a program", ""
    if not forbidden.isdisjoint(grams(text)):
        return "13 tokens of HumanEval", ""
    return ("a near duplicate" if seen.near(text) else ""), text


class Seen:
    """The files that were taken, to be asked whether one is near another."""

    def __init__(self) -> None:
        self._homes: dict[Any, list[int]] = defaultdict(list)
        self._signatures: list[Any] = []

    def near(self, text: str) -> bool:
        self._last = signature(text[:20_000])
        homes = {home for key in bands(self._last) for home in self._homes.get(key, ())}
        return any(likeness(self._last, self._signatures[home]) >= NEAR for home in homes)

    def add(self, text: str) -> None:
        """The text that was asked about last."""
        for key in bands(self._last):
            self._homes[key].append(len(self._signatures))
        self._signatures.append(self._last)


def grams(text: str) -> Iterator[int]:
    """A hash for each 13 tokens in a row; blanks and case aside."""
    tokens = re.findall(r"\w+|[^\w\s]", text.lower())
    for first in range(len(tokens) - GRAM + 1):
        yield hash(tuple(tokens[first : first + GRAM]))


def grams_of(path: Path) -> set[int]:
    """Of all problems of HumanEval with their solutions."""
    found: set[int] = set()
    for row in humaneval(path):
        found.update(grams(row["prompt"] + row["canonical_solution"] + row["suffix"]))
    return found


def humaneval(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def pieces(file: dict[str, str]) -> Iterator[dict[str, str]]:
    """A file in whole lines, about PIECE characters each."""
    piece = ""
    for line in file["text"].splitlines(keepends=True):
        if piece and len(piece) + len(line) > PIECE:
            yield {"text": piece, "path": f"{file['package']}/{file['path']}"}
            piece = ""
        piece += line
    if len(piece) > PIECE // 5:
        yield {"text": piece, "path": f"{file['package']}/{file['path']}"}


def holes(files: Sequence[dict[str, str]], count: int, seed: int) -> list[dict[str, str]]:
    """Single lines of code of files drawn at random, at most one of a file, packages in turn.

    A line has a letter, is no comment, is no line of a docstring's prose as far as the standard
    library's tokenizer tells, and stands behind another.
    """
    numbers = Draws(seed, range(len(files)))
    order, where = numbers.uniform(0), numbers.uniform(1)
    turn: dict[str, int] = defaultdict(int)
    ranked = []
    for place in sorted(range(len(files)), key=lambda at: order[at]):
        package = files[place]["package"]
        ranked.append((turn[package], float(order[place]), place))
        turn[package] += 1
    found = (hole(files[place], float(where[place])) for _, _, place in sorted(ranked))
    made = []
    for one in found:
        if one is not None:
            made.append(one)
        if len(made) == count:
            break
    return made


def hole(file: dict[str, str], where: float) -> dict[str, str] | None:
    """A file without one of its lines of code: text, completion (its newline too) and suffix."""
    from foundation.domains.code.lines import logical_lines

    text = file["text"]
    found = [
        line
        for line in logical_lines(text)
        if line.whole and line.start > len(line.margin) and 3 <= line.end - line.start <= LONGEST
        and "\n" not in text[line.start : line.stop - 1] and text[line.start] not in "\"'"
    ]  # fmt: skip
    if not found:
        return None
    line = found[int(where * len(found))]
    first = line.start - len(line.margin)
    return {
        "text": text[:first], "completion": text[first : line.stop], "suffix": text[line.stop :],
        "path": f"{file['package']}/{file['path']}",
    }  # fmt: skip


def begin(files: Sequence[dict[str, str]], vocabulary: int, folder: Path) -> None:
    """A byte-level BPE with StarCoder's markers, and a configuration of at most 4 M parameters."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    # Blanks keep together and so do newlines with the margin behind them: code is mostly these.
    pattern = Regex(r"\n[ ]*| ?\w+| ?[^\s\w]+|\s+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(pattern, "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    some = files[:: max(1, len(files) // 2500)]
    tokenizer.train_from_iterator((file["text"] for file in some), trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|endoftext|>",
        bos_token="<|endoftext|>",
        model_max_length=1024,
        clean_up_tokenization_spaces=False,
    )
    fast.save_pretrained(folder)
    write_json(folder / "config.json", {**SHAPE, "vocab_size": vocabulary})


def _tenth(name: str) -> bool:
    return hashlib.sha256(name.encode()).digest()[0] % 10 == 0


def _write(path: Path, rows: Iterable[dict[str, str]]) -> None:
    write_text(path, "".join(f"{json.dumps(row)}\n" for row in rows))


if __name__ == "__main__":
    main()
