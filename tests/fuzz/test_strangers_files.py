"""Strangers' files: whatever they hold is read, or refused in one line, and nothing else happens.

A few cases of each entry run with all tests. `FUZZ_CASES=20000 python -m pytest -m long tests/fuzz`
runs as many of each, those of the slow ones a twentieth.
"""

import io
import json
import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save

FEW = 60
MANY = int(os.environ.get("FUZZ_CASES", "2000"))
SLOW = 20
"""A case of these takes tens of milliseconds: so many times fewer are run."""


@dataclass(frozen=True)
class Entry:
    """name: of the file the bytes are written to. read: takes its path."""

    name: str
    read: Callable[[Path], Any]
    seeds: Callable[[], Sequence[bytes]]
    slow: bool = False


def _records(kinds: Callable[[], Any]) -> Callable[[Path], Any]:
    def read(path: Path) -> None:
        from foundation import tables

        for record in tables.read(path, kinds(), "texts"):
            assert record.error is None or "\n" not in record.error

    return read


def _table() -> Any:
    from foundation import tables

    return tables.tables(["text", "prompt"], ["label"])


def _parquet() -> list[bytes]:
    file = io.BytesIO()
    pq.write_table(pa.table({"text": ["a", "b", None], "label": ["x", "y", "z"]}), file)
    return [file.getvalue()]


def _molecules(path: Path) -> None:
    from foundation.domains.molecule.files import read

    for row in read(path):
        assert "smiles" in row


def _smiles(path: Path) -> None:
    from foundation.domains.molecule.checks import check

    (row,) = check([path.read_bytes().decode("utf-8", "replace")])
    assert row["valid"] or row["reason"]


@cache
def _sdf() -> list[bytes]:
    from rdkit import Chem

    made = [Chem.MolFromSmiles(text) for text in ("CCO", "c1ccccc1[N+](=O)[O-]", "F/C=C/F")]
    return ["".join(map(Chem.SDWriter.GetText, made)).encode()]


def _source(path: Path) -> None:
    from foundation import hub

    hub.refuse_remote_code(hub.resolve(str(path)))


def _facts(path: Path) -> None:
    from foundation.hub.facts import described
    from foundation.spec import ModelSpec

    described(ModelSpec("a/b", "language", "", f"path:{path}"))


def _cost(path: Path) -> None:
    """A config that lies about its size is answered before anything is loaded."""
    from foundation import registry
    from foundation.hub.facts import described

    spec = described(registry.spec("language/qwen2.5-0.5b", path=str(path.parent)))
    registry.resolve(spec.adapter).cost(spec)


def _safetensors(path: Path) -> None:
    _source(path)
    _facts(path.parent)


def _tokenizer(path: Path) -> None:
    from foundation.pretrained import read_tokenizer

    read_tokenizer(path.parent)


@cache
def _tokenizers() -> list[bytes]:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2, "<unk>": 3}, [("a", "b")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    return [tokenizer.to_str().encode()]


def _pipeline(path: Path) -> None:
    from foundation import registry
    from foundation.hub.facts import described

    spec = described(registry.spec("image/sdxl", path=str(path.parent)))
    registry.resolve(spec.adapter).cost(spec)


def _raster(path: Path) -> None:
    from foundation.domains.geospatial.intake import STARTER
    from foundation.domains.geospatial.reading import Question
    from foundation.domains.geospatial.series import opened

    with opened(Question(str(path)), STARTER) as stack:
        stack.read(0, 16, 0, 16)


@cache
def _tiffs() -> list[bytes]:
    from rasterio.io import MemoryFile
    from rasterio.transform import from_origin

    made = []
    for bands, compress in ((3, "deflate"), (1, "none")):
        with MemoryFile() as file:
            with file.open(
                driver="GTiff", count=bands, height=24, width=20, dtype="uint8", compress=compress,
                crs="EPSG:32633", transform=from_origin(500000, 5000000, 10, 10),
            ) as raster:  # fmt: skip
                raster.write(np.arange(bands * 480, dtype="uint8").reshape(bands, 24, 20))
            made.append(bytes(file.getbuffer()))
    return made


def _zips() -> list[bytes]:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.tif", _tiffs()[1])
        archive.writestr("../../out.tif", b"x" * 5000)
    return [file.getvalue()]


def _zipped(path: Path) -> None:
    from foundation.domains.geospatial.files import read

    for row in read(path):
        _raster(row["raster"])


def _picture(path: Path) -> None:
    from foundation.domains.image import pictures
    from foundation.domains.image.metadata import read_request

    for look in (pictures.check_picture, lambda _, p: pictures.opened(p)):
        _refusal(lambda look=look: look("image", str(path)))
    read_request(path)


def _pictures(kind: str) -> Callable[[], list[bytes]]:
    @cache
    def made() -> list[bytes]:
        from PIL import Image

        from foundation.domains.image.metadata import save as write

        file = io.BytesIO()
        write(Image.new("RGB", (9, 7), "red"), file, kind, {"prompt": "a", "seal": "b"})
        return [file.getvalue()]

    return made


def _overrides(path: Path) -> None:
    from foundation import arguments
    from foundation.groups import groups

    words = path.read_bytes().decode("utf-8", "replace").split("\n")
    arguments.prepare(words, groups())
    arguments.remembered([f"resume={path.parent}"])


def _model(path: Path) -> None:
    from foundation import registry
    from foundation.trust.configs import check_folder

    check_folder(path.parent)
    import yaml

    given = yaml.safe_load(path.read_text(encoding="utf-8"))
    if isinstance(given, dict):
        registry.spec_from(given)


def _run(path: Path) -> None:
    """A run folder whose every file of ours holds the same."""
    from foundation.commands.status import answer
    from foundation.engines.ranges import members
    from foundation.runs import Run, finished
    from foundation.trust.verify import verify

    folder = path.parent
    (folder / "parts").mkdir(exist_ok=True)
    for name in ("config.json", "status.json", "parts/manifest.json"):
        (folder / name).write_bytes(path.read_bytes())
    for look in (
        lambda: finished(folder),
        lambda: Run(folder, {}, {"task": "a"}).close(),
        lambda: members(folder.parent),
        lambda: answer([f"task.run={folder}"]),
        lambda: verify(folder),
    ):
        _refusal(look)


def _refusal(look: Callable[[], Any]) -> None:
    """Run it; a refusal must be one line that the user can mend."""
    from foundation.errors import FoundationError, InputError

    refused: FoundationError | None = None
    try:
        look()
    except FoundationError as error:
        refused = error
    assert refused is None or isinstance(refused, InputError), refused
    assert "\n" not in str(refused or "")


RECORD = {
    "task": "generate", "counts": {"rows": 3, "valid": 2}, "files": ["results.parquet"],
    "seconds": {"run": 1.5}, "sha256": {"results.parquet": "0" * 64}, "done": 1, "total": 3,
    "before": 0, "valid": 1, "began": 1.0, "updated": 2.0, "events": 1, "last_event": ["x"],
    "number": 0, "of": 1, "first": 0, "end": 3, "identity": {}, "columns": {}, "parts": [],
}  # fmt: skip


def _sealed_record() -> list[bytes]:
    from foundation.trust.seal import BLANK, sealed

    plain = json.dumps(RECORD).encode()
    return [plain, sealed(json.dumps({**RECORD, "seal": BLANK})).encode()]


def _leases(path: Path) -> None:
    from foundation.placement.leases import told
    from foundation.placement.tickets import tickets

    for ticket in tickets(path.parent):
        told(ticket)


def _lease() -> list[bytes]:
    from foundation.placement.host import boot

    told = {"boot": boot(), "device": None, "memory": 5, "keys": ["a"], "job": "b", "pid": 1,
            "user": "c", "since": 1.0, "settled": False}  # fmt: skip
    return [json.dumps(told).encode()]


def _sealed(path: Path) -> None:
    from foundation.trust.verify import verify

    verify(path)


def _seals() -> list[bytes]:
    from foundation.trust.provenance import line

    told = {"made_by": "foundation-toolkit 1", "model": "m", "seed": 0}
    return [(line({"a": 1}, told) + "\n" + line({"a": 2}, told) + "\n").encode()]


def _card(path: Path) -> None:
    from foundation.trust.card import of_source

    (path.parent / "config.json").write_text("{}")
    assert of_source(str(path.parent), None).markdown()


def _lock(path: Path) -> None:
    from foundation.hub.lock import read

    read(path)


def _examples(path: Path) -> None:
    from foundation.domains.language.files import read_examples

    read_examples(path)


def _spans(path: Path) -> None:
    from foundation.domains.language.tagging import Tag

    Tag("a b", examples=str(path))


def _code(path: Path) -> None:
    from foundation.domains.code.files import read

    list(read(path))


def _text(*seeds: str) -> Callable[[], list[bytes]]:
    return lambda: [seed.encode() for seed in seeds]


CSV = 'text,label\na,x\n"b ""q""\nc",y\n'
JSONL = '{"text": "a", "label": "x"}\n{"text": "b\\u00e9", "label": ["y", 1]}\n'
SPANS = '{"text": "fly to Rome", "spans": [{"start": 7, "end": 11, "label": "city"}]}\n'
WORDS = "task.count=5\nmodel=molecule/starter\n+a.b=[1,2]\nseed=${oc.env:HOME}\nhydra.run.dir=x"
MODEL = """# @package model
name: a/b
domain: molecule
adapter: foundation.domains.molecule.adapter:MoleculeModel
source: hub:a/b
revision: x
tasks: [generate]
deltas: [{path: a, scale: 0.5}]
options: {notation: smiles}
"""
CONFIG = json.dumps({"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2,
                     "num_attention_heads": 4, "vocab_size": 99, 
                     "auto_map": {"A": "b.C"}})  # fmt: skip
INDEX = json.dumps({"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet"],
                    "vae": [None, None]})  # fmt: skip
ENTRIES = {
    "smiles": Entry("a.txt", _smiles, _text("CCO", "c1ccccc1", "C[C@H](N)C(=O)O", "[13CH4].[Na+]",
                                            "C1CC1C%10CC%10", "[Fe]", "O=S(=O)(N)c1ccc2ccccc2c1")),
    "sdf": Entry("a.sdf", _molecules, _sdf),
    "smi": Entry("a.smi", _molecules, _text("CCO ethanol\n# x\nC1CC1\tb\n", "smiles name\nC a\n")),
    "csv": Entry("a.csv", _records(_table), _text(CSV, CSV.replace(",", ";"))),
    "tsv": Entry("a.tsv", _records(_table), _text(CSV.replace(",", "\t"))),
    "jsonl": Entry("a.jsonl", _records(_table), _text(JSONL)),
    "parquet": Entry("a.parquet", _records(_table), _parquet),
    "safetensors": Entry("model.safetensors", _safetensors,
                         lambda: [save({"w": np.ones((2, 3), np.float32), "b": np.zeros(1)})]),
    "config": Entry("config.json", _source, _text(CONFIG, INDEX)),
    "config cost": Entry("config.json", _cost, _text(CONFIG)),
    "tokenizer": Entry("tokenizer.json", _tokenizer, _tokenizers, slow=True),
    "pipeline": Entry("model_index.json", _pipeline, _text(INDEX), slow=True),
    "geotiff": Entry("a.tif", _raster, _tiffs, slow=True),
    "zip of rasters": Entry("a.zip", _zipped, _zips, slow=True),
    "png": Entry("a.png", _picture, _pictures("png")),
    "jpeg": Entry("a.jpg", _picture, _pictures("jpeg")),
    "webp": Entry("a.webp", _picture, _pictures("webp")),
    "overrides": Entry("overrides.json", _overrides, _text(WORDS, '["task.count=3", "-m"]')),
    "yaml": Entry("model.yaml", _model,
                  _text(MODEL, "hydra:\n  callbacks: {a: {_target_: os.system}}")),
    "run folder": Entry("record.json", _run, _sealed_record, slow=True),
    "lease": Entry("foundation-lease-0-1", _leases, _lease),
    "seals": Entry("a.jsonl", _sealed, _seals),
    "card": Entry("README.md", _card,
                  _text("---\nlicense: mit\n---\n# a\n## Data\nb\n| c | d |\n")),
    "lock": Entry("foundation.lock", _lock, _text('{"sources": {"a": {"files": {"b": "c"}}}}')),
    "examples": Entry("a.csv", _examples, _text(CSV)),
    "spans": Entry("a.jsonl", _spans, _text(SPANS)),
    "bio": Entry("a.bio", _spans, _text("fly\tO\nto\tO\nRome\tB-city\n\n")),
    "code": Entry("a.py", _code, _text("def f():\n<FILL_ME>\n")),
}  # fmt: skip


@pytest.mark.parametrize("name", ENTRIES)
def test_a_few(name: str, fuzz: Callable[..., None], tmp_path: Path) -> None:
    entry = ENTRIES[name]
    fuzz(_reader(entry, tmp_path), entry.seeds(), FEW // 6 if entry.slow else FEW, fixed=True)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ENTRIES)
def test_many(name: str, fuzz: Callable[..., None], tmp_path: Path) -> None:
    entry = ENTRIES[name]
    fuzz(_reader(entry, tmp_path), entry.seeds(), MANY // SLOW if entry.slow else MANY)


def _reader(entry: Entry, tmp_path: Path) -> Callable[[bytes], Any]:
    folder = tmp_path / "case" / "files"
    folder.mkdir(parents=True)

    def read(data: bytes) -> None:
        path = folder / entry.name
        path.write_bytes(data)
        entry.read(path)

    return read
