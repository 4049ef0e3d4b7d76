"""Walks a page of Markdown: runs its blocks in order, in one folder, and compares their output.

    python -m tests.docs.walk README.md --slow --lines 5    # every block that this machine can run

A fenced block of `bash` or `python` is run; a block of `text` right after it shows what it prints,
`...` standing for anything. A comment in front of a block says how:

    <!-- slow -->             only by hand: minutes, or a download from the package index
    <!-- elsewhere: why -->   not at all; the settings that it names are composed instead

So are those of a command whose model is on the Hub, or has no weights in this version.

In a command `runs/<date>/<run>`, or `<run>`, is the run folder written last.
"""

import argparse
import doctest
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from omegaconf import OmegaConf

from foundation import application, arguments, registry, requests
from foundation.errors import InputError, UnknownName
from foundation.groups import groups

ROOT = Path(__file__).parents[2]
RUN = re.compile(r"(runs/)?<date>/<run>|<run>")
NOTE = re.compile(r"<!-- (?P<how>slow|elsewhere)(: [^>]*)? -->")
LIMIT = 1800


@dataclass(frozen=True)
class Block:
    """A block of a page: its language, its text, its line, what it prints, and when it is run."""

    language: str
    text: str
    line: int
    shown: str | None = None
    how: str = "quick"


def blocks(page: Path) -> list[Block]:
    """The blocks of a page that are to be run."""
    tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
    found = []
    for at, token in enumerate(tokens):
        if token.type not in ("fence", "code_block") or token.level > 0:
            continue
        before = tokens[at - 1] if at else None
        note = NOTE.match(before.content) if before and before.type == "html_block" else None
        after = tokens[at + 1] if at + 1 < len(tokens) else None
        shown = after.content if after and after.type == "fence" and after.info == "text" else None
        if token.info in ("bash", "python"):
            line = (token.map or [0])[0] + 1
            how = note["how"] if note else "quick"
            found.append(Block(token.info, token.content, line, shown, how))
    return found


def commands(text: str) -> Iterator[str]:
    """The commands of a block, lines that go on joined, without comments after them."""
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        bare = re.sub(r"\s+#\s.*$", "", line).strip()
        if bare and not bare.startswith("#"):
            yield bare


def run(block: Block, folder: Path) -> list[tuple[str, str | None]]:
    """Commands and what they print; AssertionError where one fails or prints not what is shown.

    One whose model is not at hand is composed, and prints None.
    """
    done: list[tuple[str, str | None]] = []
    for script in commands(block.text) if block.language == "bash" else [block.text]:
        if block.language == "bash" and not _can_be_had(script):
            compose(script)
            done.append((script, None))
        else:
            done.append((script, _run_one(block, script, folder)))
    if block.shown is not None:
        printed = "".join(text or "" for _, text in done)
        check = doctest.OutputChecker()
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        assert check.check_output(block.shown, printed, flags), (
            f"line {block.line} shows\n{block.shown}\nbut prints\n{printed}"
        )
    return done


def _run_one(block: Block, script: str, folder: Path) -> str:
    command = [sys.executable, "-c", script]
    if block.language == "bash":
        filled = RUN.sub(lambda _: str(_last_run(folder)), script)
        command = ["bash", "-o", "pipefail", "-c", filled]
    environment = {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent),
                   os.environ["PATH"]]), "COLUMNS": "100"}  # fmt: skip
    done = subprocess.run(
        command, cwd=folder, env=environment, text=True, timeout=LIMIT, check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    # A command that is shown to fail says so with `|| echo "exit code $?"`.
    assert done.returncode == 0, f"line {block.line}: {script}\n{done.stdout}"
    return done.stdout


def _last_run(folder: Path) -> Path:
    """The run folder that was written last, relative to the folder of the walk."""
    found = sorted((folder / "runs").glob("*/*/record.json"), key=lambda path: path.stat().st_mtime)
    assert found, "no run was written before <run> is named"
    return found[-1].parent.relative_to(folder)


def _can_be_had(command: str) -> bool:
    """Whether the model of a command is here or on the package index."""
    model = re.search(r"\bmodel=(\S+)", command)
    if "hub:<" in command:
        return False
    if model is None or "model.path=<" in command or model[1] not in registry.models():
        return True
    source = registry.spec(model[1]).source
    embedded = ROOT / source.removeprefix("embedded:foundation.").replace(".", "/")
    return source.startswith("wheel:") or embedded.is_dir()


def composed(block: Block) -> None:
    """Compose the commands of a block that is not run."""
    for command in commands(block.text):
        compose(command)


def compose(command: str) -> None:
    """Compose the settings of a `foundation` command: UnknownName for what is not there."""
    words = shlex.split(re.sub(r"<[^>]*>", "x", command.rpartition("|")[2]))
    if words[0] == "foundation" and not any(word.startswith("--") for word in words):
        _compose(words[1:])


def _compose(words: list[str]) -> None:
    """Names of groups, choices and settings; a sweep's by their names alone."""
    import hydra

    folders = registry.conf_folders()
    ready = arguments.prepare(words, groups([str(folder) for folder in folders]))
    if "-m" in words or "task=lock" in words:
        return
    application._register_resolvers()
    with hydra.initialize_config_dir(str(folders[0]), version_base="1.3"):
        config = hydra.compose("config", [word for word in ready if not word.startswith("hydra")])
    task = OmegaConf.to_container(config.task)
    assert isinstance(task, dict)
    domain = registry.domain(config.model.domain)
    if task["name"] not in application.COMMANDS and task["name"] in domain.tasks:
        given = {name: value for name, value in task.items() if name != "input"}
        try:
            requests.settings(domain, task["name"], given)
        except UnknownName:
            raise
        except InputError:  # of a value, such as a file that is not here
            pass


def prepare(folder: Path) -> None:
    """The files that the pages speak of as a reader's own."""
    for name in ("examples", "foundation", "constraints.txt"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "molecules.csv").write_text("name,smiles\nethanol,CCO\nphenol,c1ccccc1O\n")
    (folder / "train.csv").write_text(_texts(40))
    (folder / "prompts.csv").write_text("prompt\nTell me about Rome.\n")


def prepare_pictures(folder: Path) -> None:
    """Scenes at 15 degrees east and 46 north, plots on them; chips of two kinds, also in a zip."""
    import shutil

    import numpy as np
    import pyogrio
    import rasterio
    import shapely
    from affine import Affine
    from PIL import Image

    random = np.random.default_rng(0)
    (folder / "scenes").mkdir()
    for name in ("scene.tif", "2019.tif", "2020.tif", "scenes/a.tif", "scenes/b.tif"):
        coarse = random.integers(30, 220, (3, 8, 8)).repeat(64, axis=1).repeat(64, axis=2)
        pixels = (coarse + random.integers(0, 30, coarse.shape)).astype("uint8")
        with rasterio.open(
            folder / name, "w", driver="GTiff", count=3, height=512, width=512, dtype="uint8",
            crs="EPSG:32633", transform=Affine(10, 0, 498_500, 0, -10, 5_098_500),
        ) as file:  # fmt: skip
            file.write(pixels)
    places = [(15.0 + 0.003 * n, 46.01 + 0.002 * (n % 5)) for n in range(12)]
    features = ",".join(
        f'{{"type": "Feature", "properties": {{"label": "{"ab"[n % 2]}"}}, '
        f'"geometry": {{"type": "Point", "coordinates": [{x}, {y}]}}}}'
        for n, (x, y) in enumerate(places)
    )
    labels = f'{{"type": "FeatureCollection", "features": [{features}]}}'
    (folder / "labels.geojson").write_text(labels)
    pyogrio.raw.write(
        str(folder / "plots.gpkg"), shapely.to_wkb(shapely.points(places)), [np.arange(12)],
        fields=["plot"], crs="EPSG:4326", geometry_type="Point",
    )  # fmt: skip
    for kind, low in (("field", 40), ("water", 120)):
        (folder / "chips" / kind).mkdir(parents=True)
        for n in range(12):
            chip = random.integers(low, low + 80, (64, 64, 3), dtype="uint8")
            Image.fromarray(chip).save(folder / "chips" / kind / f"{n}.png")
    shutil.make_archive(str(folder / "chips"), "zip", folder / "chips")


def _texts(count: int) -> str:
    """Labelled texts, of two kinds and many words."""
    things = ["The soup", "Our room", "That film", "The staff", "This phone"]
    good = ["was wonderful", "made my day", "is better than ever", "could not be nicer"]
    bad = ["was a disaster", "ruined the evening", "never worked", "could not be worse"]
    rows = ["text,label"]
    for n in range(count):
        thing, kind = things[n % 5], (good, bad)[n % 2]
        rows.append(f"{thing} {kind[n // 2 % 4]} on day {n},{'good' if kind is good else 'bad'}")
    return "\n".join(rows) + "\n"


def _show(done: list[tuple[str, str | None]], lines: int, folder: str) -> None:
    """The commands of a block and the last lines of what each printed."""
    for script, printed in done:
        print(f"  {'composed:' if printed is None else '$'} {script.splitlines()[0]}")
        for text in (printed or "").replace(folder, "FOLDER").splitlines()[-lines:]:
            print(f"    {text}", flush=True)


def main() -> int:
    """Walk the pages named; the exit code is the number of blocks that failed."""
    import tempfile

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pages", nargs="+", help="<page>, or <page>:<line> of a block")
    parser.add_argument("--slow", action="store_true", help="run those marked slow, too")
    parser.add_argument("--lines", type=int, default=0, help="shown of what each command prints")
    asked = parser.parse_args()
    failed = 0
    for named in asked.pages:
        page, _, line = named.partition(":")
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            prepare(folder)
            prepare_pictures(folder)
            for block in blocks(Path(page)):
                if line and block.line != int(line):
                    continue
                wanted = block.how == "quick" or (asked.slow and block.how == "slow")
                began, done = time.perf_counter(), list[tuple[str, str | None]]()
                try:
                    if wanted:
                        done = run(block, folder)
                    elif block.language == "bash":
                        composed(block)
                    ran = wanted and any(printed is not None for _, printed in done)
                    state = "ran" if ran else "composed"
                except Exception as error:
                    failed, state = failed + 1, f"FAILED: {error}"
                seconds = time.perf_counter() - began
                print(f"{page}:{block.line}: {block.how}, {state}, {seconds:.1f} s", flush=True)
                if asked.lines:
                    _show(done, asked.lines, name)
    return failed


if __name__ == "__main__":
    sys.exit(main())
