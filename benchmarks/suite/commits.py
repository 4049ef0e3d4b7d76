"""Our code at another commit, as a folder for PYTHONPATH."""

import subprocess
from pathlib import Path

from benchmarks.record import ROOT
from foundation.durable import replacing_folder
from foundation.errors import InputError

KEPT = ROOT / ".cache" / "benchmarks" / "commits"


def checkout(commit: str, root: Path = ROOT, kept: Path = KEPT) -> Path:
    """The folder; made once for each commit. InputError: the repository has no such commit."""
    named = subprocess.run(
        ["git", "rev-parse", "--verify", f"{commit}^{{commit}}"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if named.returncode:
        raise InputError(f"commit {commit} is not in this repository")
    folder = kept / named.stdout.strip()
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        archive = subprocess.run(
            ["git", "archive", folder.name], cwd=root, capture_output=True, check=True
        )
        with replacing_folder(folder) as part:
            part.mkdir()
            subprocess.run(["tar", "-x", "-C", part], input=archive.stdout, check=True)
    return folder
