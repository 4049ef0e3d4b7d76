"""Folders and files on this machine: what is verified, what is refused."""

import contextlib
import gzip
import hashlib
import json
import os
import pickle
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save as save_safetensors

from foundation.errors import SourceError, UnknownName
from foundation.hub import Local, Source, digests, fetch, refuse_remote_code, resolve
from foundation.hub.formats import check_format, refuse_pickle

few = settings(max_examples=40, deadline=None)
# Headers that are JSON, and close to what a header looks like.
jsons = st.recursive(
    st.none() | st.integers() | st.sampled_from(["a", "F32"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["w", "__metadata__", "data_offsets"]), inner)
    ),
    max_leaves=6,
).map(lambda value: json.dumps(value).encode())


def weights(rows: int = 4) -> bytes:
    import numpy as np

    return save_safetensors({"a": np.arange(rows * 3.0).reshape(rows, 3), "b": np.zeros(2)})


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("FOUNDATION_CACHE", str(folder))
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(weights())
    (folder / "config.json").write_text('{"model_type": "gru"}')
    return folder


def test_folder_gives_the_digest_that_sha256sum_gives(model: Path) -> None:
    local = resolve(f"path:{model}")
    names = ["config.json", "model.safetensors"]
    listing = subprocess.run(["sha256sum", *names], cwd=model, capture_output=True, check=True)
    assert local.path == model
    assert local.files == {line[66:]: line[:64] for line in listing.stdout.decode().splitlines()}
    assert local.digest == hashlib.sha256(listing.stdout).hexdigest()
    assert resolve(str(model)) == local


def test_single_file_and_embedded_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "outsiders_domain"
    (package / "starter").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "adapter.py").write_text("raise RuntimeError('must not be imported')")
    (package / "starter" / "model.safetensors").write_bytes(weights())
    monkeypatch.syspath_prepend(str(tmp_path))
    local = resolve("embedded:outsiders_domain/starter")
    assert local.path == package / "starter"
    single = resolve(f"path:{local.path}/model.safetensors")
    assert single.path.is_file()
    assert single.files == local.files
    for wrong in ("embedded:no_such_package/starter", "embedded:outsiders_domain/../model"):
        with pytest.raises(SourceError):
            resolve(wrong)
    with pytest.raises(SourceError, match=r"not in this version: train it .* model\.path="):
        resolve("embedded:outsiders_domain/untrained")


def test_pinned_digests_are_compared_and_must_be_there(model: Path) -> None:
    good = hashlib.sha256(weights()).hexdigest()
    assert resolve(str(model), sha256={"model.safetensors": good.upper()}).files
    with pytest.raises(SourceError, match=r"model\.safetensors has the sha256 .* not 00"):
        resolve(str(model), sha256={"model.safetensors": "0" * 64})
    with pytest.raises(SourceError, match=r"filter\.bloom is missing"):
        resolve(str(model), sha256={"filter.bloom": "0" * 64})
    (model / "filter.bloom").write_bytes(b"bits")
    pinned = {"filter.bloom": hashlib.sha256(b"bits").hexdigest()}
    assert "filter.bloom" in resolve(str(model), sha256=pinned).files


def test_second_load_believes_the_record_until_the_file_is_touched(
    model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "SETTLED", 0.0)
    first = resolve(str(model))
    (ledger,) = (cache / "digests").glob("*.json")
    record = json.loads(ledger.read_text())
    record["files"]["model.safetensors"]["sha256"] = "f" * 64
    ledger.write_text(json.dumps(record))
    # The false record shows that the file was not read again ...
    assert resolve(str(model)).files["model.safetensors"] == "f" * 64
    # ... and an edit of the same size with its old times restored is read again all the same.
    file = model / "model.safetensors"
    times = file.stat()
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert resolve(str(model)).files["model.safetensors"] == hashlib.sha256(content).hexdigest()
    file.write_bytes(weights())
    assert resolve(str(model)) == first


def test_file_written_this_moment_is_not_remembered(model: Path, cache: Path) -> None:
    resolve(str(model))
    assert not list(cache.glob("digests/*"))


def test_damaged_or_unwritable_record_only_costs_time(
    model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "SETTLED", 0.0)
    first = resolve(str(model))
    (ledger,) = (cache / "digests").glob("*.json")
    for damage in ("", "[]", '{"files": 1}', '{"files": {"config.json": 3}}'):
        ledger.write_text(damage)
        assert resolve(str(model)) == first
    blocked = cache / "a file"
    blocked.touch()
    monkeypatch.setenv("FOUNDATION_CACHE", str(blocked))
    assert resolve(str(model)) == first


@few
@given(st.data())
def test_safetensors_cut_anywhere_is_truncated(data: st.DataObject) -> None:
    whole = weights(data.draw(st.integers(1, 50)))
    kept = data.draw(st.integers(0, len(whole) - 1))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.safetensors"
        path.write_bytes(whole)
        check_format(path, "")
        path.write_bytes(whole[:kept])
        with pytest.raises(SourceError, match=rf"x\.safetensors is truncated: {kept:,} bytes of"):
            check_format(path, "")


@few
@given(header=st.binary(max_size=40) | jsons, more=st.binary(max_size=9))
def test_any_bytes_pass_or_are_refused_and_never_crash(header: bytes, more: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.safetensors"
        path.write_bytes(struct.pack("<Q", len(header)) + header + more)
        with contextlib.suppress(SourceError):
            check_format(path, "")
            json.loads(header)


def test_truncated_message_tells_how_to_mend(model: Path) -> None:
    file = model / "model.safetensors"
    file.write_bytes(weights()[:-10])
    with pytest.raises(SourceError) as error:
        resolve(str(model))
    size = len(weights())
    assert str(error.value) == (
        f"{file} is truncated: {size - 10} bytes of {size}; copy or make it again"
    )
    file.write_bytes(weights() + b"more")
    with pytest.raises(SourceError, match="4 bytes too many"):
        resolve(str(model))
    with pytest.raises(SourceError, match="4 bytes too many"):
        fetch([Source(str(model))])
    assert file.exists(), "a user's own file is never deleted"


def test_missing_shard_is_named(model: Path) -> None:
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(SourceError, match=r"model-2\.safetensors, named by .*, is missing"):
        resolve(str(model))


@pytest.mark.parametrize("name", ["model.bin", "a.pt", "b.PTH", "c.ckpt", "d.pkl", "e.pkl.gz"])
def test_folder_with_only_pickles_is_refused_by_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / name).write_bytes(b"anything")
    (folder / "config.json").write_text("{}")
    for source in (folder, folder / name):
        with pytest.raises(SourceError, match=rf"{name} is a pickle.*: convert it"):
            resolve(str(source))


def test_pickle_beside_weights_is_ignored(model: Path) -> None:
    (model / "pytorch_model.bin").write_bytes(pickle.dumps({}))
    assert set(resolve(str(model)).files) == {"config.json", "model.safetensors"}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("value", [{"w": [1.0, 2.0]}, b"x" * 9000, list(range(5000))])
def test_pickle_under_another_name_is_refused(tmp_path: Path, value: object, protocol: int) -> None:
    for name in ("model.safetensors", "weights"):
        path = tmp_path / name
        path.write_bytes(pickle.dumps(value, protocol=protocol))
        with pytest.raises(SourceError, match="whatever its name, is a pickle"):
            resolve(str(path))


def test_torch_archives_under_another_name_are_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    for modern in (True, False):
        path = tmp_path / "model.safetensors"
        torch.save({"w": torch.zeros(3)}, path, _use_new_zipfile_serialization=modern)
        with pytest.raises(SourceError, match="is a pickle"):
            resolve(str(path))


@few
@given(st.integers(0, 100_000_000 >> 16))
def test_header_length_that_looks_like_a_pickle_is_no_pickle(more: int) -> None:
    """A header of 640 bytes makes a safetensors file begin with b"\\x80\\x02", a pickle's magic."""
    with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
        file.write(struct.pack("<Q", 0x280 + (more << 16)) + b'{"__metadata__":{}}')
        file.flush()
        refuse_pickle(Path(file.name))


def test_archives_without_pickles_pass(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        archive.writestr("rows.csv", "a,b\n")
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(b"a,b\n"))
    assert resolve(str(tmp_path / "data.zip")).files
    assert resolve(str(tmp_path / "rows.csv.gz")).files


def test_pinned_pickle_passes_only_for_a_caller_that_reads_weights_only(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    path.write_bytes(pickle.dumps({}))
    pinned = {"net.pt": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert resolve(str(path), sha256=pinned, weights_only=True).files == pinned
    for half in ({"sha256": pinned}, {"weights_only": True}):
        with pytest.raises(SourceError, match="is a pickle"):
            resolve(str(path), **half)  # type: ignore[arg-type]


def test_remote_code_needs_the_exact_revision(model: Path) -> None:
    commit = "a" * 40
    (model / "config.json").write_text('{"auto_map": {"AutoModel": "modeling.Net"}}')
    local = resolve(str(model))
    with pytest.raises(SourceError, match=r"config\.json asks to run code of its own"):
        refuse_remote_code(local, commit)
    pinned = Local(local.path, local.digest, local.files, revision=commit)
    for allowed in (None, "main", "b" * 40):
        with pytest.raises(SourceError, match=commit):
            refuse_remote_code(pinned, allowed)
    refuse_remote_code(pinned, commit)
    (model / "config.json").write_text("{}")
    refuse_remote_code(resolve(str(model)))


def test_unknown_kind_and_missing_path_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'hub'"):
        resolve("hubb:org/name")
    with pytest.raises(SourceError, match=r"there is no .*nowhere"):
        resolve(f"path:{tmp_path}/nowhere")


def test_hub_loads_nothing_heavy() -> None:
    heavy = "torch, transformers, numpy, huggingface_hub.file_download, httpx2"
    code = f"import sys, foundation.hub; print({{*'{heavy}'.split(', ')}} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
