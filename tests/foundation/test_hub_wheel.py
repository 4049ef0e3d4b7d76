"""Files inside wheels: the real pip, with a folder of wheels made here in place of an index."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from foundation.errors import SourceError
from foundation.hub import Source, fetch, resolve, wheel

FILES = {
    "odd_data/__init__.py": b"raise SystemExit('a wheel was imported')",
    "odd_data/rows.csv": b"a,b\n1,2\n",
    "odd_data/more/zeros.csv": b"0\n" * 2_000_000,
    "odd_data/net.pt": b"\x80\x02}q\x00.",
}
SHA256 = {
    name.removeprefix("odd_data/"): hashlib.sha256(c).hexdigest() for name, c in FILES.items()
}
ROWS = {"rows.csv": SHA256["rows.csv"]}
ADDRESS = "wheel:odd-data==1.0/odd_data"


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one wheel, made for another Python, which pip takes for the index."""
    folder = tmp_path / "index"
    folder.mkdir()
    info = "odd_data-1.0.dist-info"
    metadata = "Metadata-Version: 2.1\nName: odd-data\nVersion: 1.0\nRequires-Python: <3.8\n"
    with zipfile.ZipFile(
        folder / "odd_data-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED
    ) as file:
        for name, content in FILES.items():
            file.writestr(name, content)
        file.writestr(f"{info}/METADATA", metadata + "Requires-Dist: impossible==9\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("FOUNDATION_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FOUNDATION_OFFLINE", raising=False)
    return folder


def kept(tmp_path: Path) -> list[str]:
    folder = tmp_path / "cache" / "wheels"
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_one_file_is_unpacked_and_then_needs_no_index(tmp_path: Path, index: Path) -> None:
    local = resolve(f"{ADDRESS}/rows.csv", sha256=ROWS)
    assert local.path.read_bytes() == FILES["odd_data/rows.csv"]
    assert local.files == ROWS
    assert kept(tmp_path) == ["odd-data-1.0.lock", "odd-data-1.0/odd_data/rows.csv"]
    assert "odd_data" not in sys.modules
    (index / "odd_data-1.0-py3-none-any.whl").unlink()
    assert resolve("wheel:Odd_Data==1.0/odd_data/rows.csv", sha256=ROWS) == local


def test_folder_holds_the_files_that_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = {name: SHA256[name] for name in ("rows.csv", "more/zeros.csv", "net.pt")}
    with pytest.raises(SourceError, match=r"net\.pt in wheel:odd-data.* is a pickle"):
        resolve(ADDRESS, sha256=named)
    assert kept(tmp_path) == [], "a pickle is refused before anything is downloaded"
    # A caller that reads with weights_only=True may have a pinned one.
    local = resolve(ADDRESS, sha256=named, weights_only=True)
    assert local.path == tmp_path / "cache/wheels/odd-data-1.0/odd_data"
    assert local.files == named
    monkeypatch.setenv("FOUNDATION_OFFLINE", "1")
    assert resolve(ADDRESS, sha256=named, weights_only=True) == local
    with pytest.raises(SourceError, match=r"__init__\.py of odd-data==1\.0 is not on .*task=fetch"):
        resolve(ADDRESS, sha256=named | {"__init__.py": "0" * 64}, weights_only=True)


@pytest.mark.parametrize(
    ("address", "sha256", "words"),
    [
        (f"{ADDRESS}/rows.csv", {}, r"has no sha256: give that of .* sha256: \{rows\.csv: "),
        (
            f"{ADDRESS}/rows.csv",
            {"rows.csv": "0" * 64},
            f"has the sha256 {SHA256['rows.csv']}, not 00",
        ),
        (
            f"{ADDRESS}/none.csv",
            {"none.csv": "0" * 64},
            "there is no odd_data/none.csv in the wheel",
        ),
        ("wheel:odd-data==2.0/odd_data/rows.csv", ROWS, r"no wheel odd-data==2\.0 for this Python"),
        ("wheel:odd-data/odd_data/rows.csv", ROWS, "write wheel:<name>==<version>/<path inside>"),
        ("wheel:--pre==1.0/odd_data/rows.csv", ROWS, "write wheel:<name>==<version>/<path inside>"),
        ("wheel:odd-data==1.0/../rows.csv", ROWS, "must be a plain path inside the wheel"),
        ("wheel:odd-data==1.0//etc/rows.csv", ROWS, "must be a plain path inside the wheel"),
        (ADDRESS, {"../../x.csv": "0" * 64}, "must be a plain path inside the wheel"),
        (ADDRESS, {"..\\x.csv": "0" * 64}, "must be a plain path inside the wheel"),
    ],
)
def test_refused_in_one_line_and_nothing_is_kept(
    tmp_path: Path, address: str, sha256: dict[str, str], words: str
) -> None:
    with pytest.raises(SourceError, match=words) as error:
        resolve(address, sha256=sha256)
    assert "\n" not in str(error.value)
    assert [name for name in kept(tmp_path) if not name.endswith(".lock")] == []


def test_file_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheel, "LARGEST", 1_000_000)
    zeros = {"zeros.csv": SHA256["more/zeros.csv"]}
    with pytest.raises(SourceError, match="unpacks to more than 1,000,000 bytes"):
        resolve(f"{ADDRESS}/more/zeros.csv", sha256=zeros)
    # The same from an archive that lies about the size: 2 bytes, it says.
    archive = index / "odd_data-1.0-py3-none-any.whl"
    size = len(FILES["odd_data/more/zeros.csv"]).to_bytes(4, "little")
    archive.write_bytes(archive.read_bytes().replace(size, (2).to_bytes(4, "little")))
    with pytest.raises(SourceError, match="is damaged"):
        resolve(f"{ADDRESS}/more/zeros.csv", sha256=zeros)
    assert [name for name in kept(tmp_path) if name.endswith(".csv")] == []


def test_two_processes_fetch_once(tmp_path: Path) -> None:
    program = (
        "import logging, sys; logging.basicConfig(level=logging.INFO);"
        "from foundation.hub import resolve;"
        f"print(resolve('{ADDRESS}/rows.csv', sha256={ROWS}).digest)"
    )
    command = [sys.executable, "-c", program]
    several = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    texts = [process.communicate() for process in several]
    assert [process.returncode for process in several] == [0, 0, 0]
    assert len({out for out, _ in texts}) == 1
    assert "".join(err for _, err in texts).count("downloading the wheel odd-data==1.0") == 1


def test_changed_file_is_refused_and_mended_by_fetch(tmp_path: Path) -> None:
    source = Source(f"{ADDRESS}/rows.csv", sha256=ROWS)
    (local,) = fetch([source])
    local.path.write_bytes(local.path.read_bytes()[:-1])
    with pytest.raises(SourceError, match=r"has the sha256 .*; fetch it again with task=fetch"):
        resolve(source.address, sha256=ROWS)
    # What a killed fetch leaves behind is in nobody's way.
    scratch = tmp_path / "cache/wheels/odd-data-1.0/.part"
    scratch.mkdir()
    (scratch / "odd_data-0.9-py3-none-any.whl").write_bytes(b"half")
    assert fetch([source]) == [local]
    assert not scratch.exists()


def test_pip_gets_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = (
        "import json, os, sys; 'pip' in sys.orig_argv and json.dump({**os.environ}, open(%r, 'w'))"
    )
    seen = tmp_path / "environment.json"
    (tmp_path / "sitecustomize.py").write_text(spy % str(seen))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert resolve(f"{ADDRESS}/rows.csv", sha256=ROWS).files
    assert "hf_secret" not in json.loads(seen.read_text()).values()


def test_network_down_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.delenv("PIP_FIND_LINKS")
        monkeypatch.setenv("PIP_RETRIES", "1")
        port = unused.getsockname()[1]
        monkeypatch.setenv("PIP_INDEX_URL", f"http://me:password@127.0.0.1:{port}/simple")
        with pytest.raises(
            SourceError, match="cannot reach the package index for odd-data==1"
        ) as error:
            resolve(f"{ADDRESS}/rows.csv", sha256=ROWS)
    assert "password" not in str(error.value)


def test_cache_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FOUNDATION_CACHE", str(tmp_path / "file"))
    with pytest.raises(SourceError, match=r"cannot write .*: Not a directory; .*FOUNDATION_CACHE"):
        resolve(f"{ADDRESS}/rows.csv", sha256=ROWS)


@pytest.mark.network
def test_real_wheel_from_the_package_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    name = "mcf.csv"
    pinned = {name: "f4a2bfacb4cb8877295eb2a4b4e61ec9770a26388f1331e5dc9c193d22dd5f89"}
    local = resolve(f"wheel:molsets==0.3.1/moses/metrics/{name}", sha256=pinned)
    assert local.path.read_text().startswith("names,smarts")
    assert os.listdir(local.path.parent) == [name]


def test_ranges_of_a_model_in_a_wheel_are_joined(start, toy: Path) -> None:
    """The join loads nothing, but the joined record tells the digests of the weights."""
    told = ["model=toy/words", f"model.source='{ADDRESS}/rows.csv'", "task.count=10"]
    told.append(f"++model.sha256={{rows.csv: {ROWS['rows.csv']}}}")
    for number in range(2):
        where = ("engine.ranges=2", f"engine.range={number}", f"resume=all/{number}")
        run = start(*told, *where)
        err = run.communicate(timeout=200)[1]
        assert run.returncode == 0, err
    run = start("task=join", "task.run=all")
    assert (run.communicate(timeout=200)[1], run.returncode) == ("", 0)
    assert json.loads((toy / "all/record.json").read_text())["digests"] == ROWS
