"""Walks a page of Markdown: runs its blocks in order, in one folder, and compares their output.

    python -m tests.docs.walk README.md --slow    # every block that this machine can run

A fenced block of `bash` or `python` is run; a block of `text` right after it shows what it prints,
`...` standing for anything. A comment in front of a block says how:

    <!-- slow -->             only by hand: minutes, or a download
    <!-- elsewhere: why -->   never here; the settings that it names are composed instead

In a command `runs/<date>/<run>`, or `<run>`, is the run folder written last.
"""

import argparse
import doctest
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

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


def run(block: Block, folder: Path) -> str:
    """What a block prints; AssertionError where it fails or prints something else than is shown."""
    scripts = list(commands(block.text)) if block.language == "bash" else [block.text]
    printed = "".join(_run_one(block, script, folder) for script in scripts)
    if block.shown is not None:
        check = doctest.OutputChecker()
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        assert check.check_output(block.shown, printed, flags), (
            f"line {block.line} shows\n{block.shown}\nbut prints\n{printed}"
        )
    return printed


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


def composed(block: Block) -> list[str]:
    """The settings of each `foundation` command of a block, composed as Hydra would: no run."""
    import shlex

    from hydra import compose, initialize_config_dir

    said = []
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        for command in commands(block.text):
            words = shlex.split(command.partition("|")[2].strip() or command)
            if words[0] != "foundation":
                continue
            settings = [word for word in words[1:] if "=" in word and "hydra" not in word]
            compose("config", [re.sub(r"<[^>]*>", "x", word) for word in settings])
            said.append(command)
    return said


def prepare(folder: Path) -> None:
    """The files that the pages speak of as a reader's own."""
    (folder / "molecules.csv").write_text("name,smiles\nethanol,CCO\nphenol,c1ccccc1O\n")
    (folder / "train.csv").write_text(_texts(40))
    (folder / "photos").mkdir()


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


def main() -> int:
    """Walk the pages named; the exit code is the number of blocks that failed."""
    import tempfile

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--slow", action="store_true", help="run those marked slow, too")
    asked = parser.parse_args()
    failed = 0
    for page in asked.pages:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            prepare(folder)
            for block in blocks(page):
                wanted = block.how == "quick" or (asked.slow and block.how == "slow")
                began = time.perf_counter()
                try:
                    if wanted:
                        run(block, folder)
                    elif block.language == "bash":
                        composed(block)
                    state = "ran" if wanted else "composed"
                except Exception as error:
                    failed, state = failed + 1, f"FAILED: {error}"
                seconds = time.perf_counter() - began
                print(f"{page}:{block.line}: {block.how}, {state}, {seconds:.1f} s", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
