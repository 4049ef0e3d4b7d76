"""What is checked about a molecule: one row per SMILES, never an exception.

Made for worker processes: importing this costs nothing, and RDKit and its tables are loaded at the
first call that needs them (`prepare` does it ahead of time).
"""

import logging
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from foundation.domains.molecule.descriptors import DESCRIPTORS
from foundation.domains.molecule.novelty import TRAINING_SET, known_molecules

COLUMNS = ("parses", "sanitises", "canonical", "inchikey", "novel", *DESCRIPTORS)
MAX_LENGTH = 4096  # characters; beyond, RDKit's time and memory grow with the square


def check(
    smiles: Sequence[str],
    columns: Collection[str] | None = None,
    known: Path = TRAINING_SET,
) -> list[dict[str, Any]]:
    """One row per SMILES, in order: `valid`, `reason`, then the columns asked for (all of them).

    parses, sanitises: bool. canonical: SMILES. inchikey: None where InChI has none (dummy atoms,
    more than 1,023 atoms). novel: not in the Bloom filter at `known`, by canonical SMILES; None
    without a usable filter. The others: see `descriptors.describe`. An invalid row has a reason
    of one line and None for what could not be had; several fragments are one valid molecule.
    Names of columns that are not a check's, but the model's own, are passed over.
    """
    from rdkit import rdBase

    wanted = _wanted(columns)
    described = [name for name in DESCRIPTORS if name in wanted]
    with rdBase.BlockLogs():
        rows = [_row(text, wanted, described) for text in smiles]
    if "novel" in wanted:
        _mark_novel(rows, known)
    names = ("valid", "reason", *wanted)
    return [{name: row.get(name) for name in names} for row in rows]


def prepare(columns: Collection[str] | None = None) -> None:
    """Load now what the first `check` of these columns would load."""
    check(["CCO"], columns)


def _wanted(columns: Collection[str] | None) -> list[str]:
    return [name for name in COLUMNS if columns is None or name in columns]


def _row(text: str, wanted: Collection[str], described: Sequence[str]) -> dict[str, Any]:
    from rdkit.Chem import MolFromSmiles, MolToSmiles
    from rdkit.Chem.rdinchi import MolToInchiKey

    from foundation.domains.molecule.descriptors import describe

    reason = _unreadable(text)
    molecule = None if reason else MolFromSmiles(text)
    if molecule is None:
        parses, reason = (False, reason) if reason else _why(text)
        return {"valid": False, "reason": reason, "parses": parses, "sanitises": False}
    row: dict[str, Any] = {"valid": True, "reason": None, "parses": True, "sanitises": True}
    if "canonical" in wanted or "novel" in wanted:
        row["canonical"] = MolToSmiles(molecule)
    if "inchikey" in wanted:
        row["inchikey"] = MolToInchiKey(molecule) or None
    return row | describe(molecule, described) if described else row


def _unreadable(text: str) -> str | None:
    """What MolFromSmiles would take for a name, cut off or choke on."""
    if not text:
        return "empty SMILES"
    if len(text) > MAX_LENGTH:
        return f"{len(text)} characters are more than {MAX_LENGTH}"
    odd = re.search(r"[^!-~]", text)
    if odd is None:
        return None
    sort = "white space" if odd[0].isspace() else f"character {odd[0]!a}"
    return f"{sort} at position {odd.start() + 1}"


def _mark_novel(rows: Sequence[dict[str, Any]], known: Path) -> None:
    valid = [row for row in rows if row["valid"]]
    molecules = known_molecules(known)
    if molecules is not None and valid:
        found = molecules.contains([row["canonical"] for row in valid])
        for row, is_known in zip(valid, found.tolist(), strict=True):
            row["novel"] = not is_known


def _why(text: str) -> tuple[bool, str]:
    """Whether the SMILES parses, and why no molecule came of it."""
    from rdkit.Chem import DetectChemistryProblems, MolFromSmiles

    molecule = MolFromSmiles(text, sanitize=False)
    if molecule is None:
        return False, _syntax(text)
    problems = [problem.Message() for problem in DetectChemistryProblems(molecule)]
    return True, _tidy(problems[0]) if problems else "RDKit cannot sanitise it"


def _syntax(text: str) -> str:
    """RDKit's own complaint: "extra open parentheses at position 3"."""
    from rdkit.Chem import MolFromSmiles

    with _captured() as lines:
        MolFromSmiles(text, sanitize=False)
    message = next((line for line in lines if "SMILES Parse Error: " in line), "")
    position = next((m[1] for line in lines if (m := re.search(r"position (\d+)", line))), None)
    message = message.partition("SMILES Parse Error: ")[2]
    message = re.split(r" (?:while parsing|for input): ", message)[0]
    return _tidy(message or "syntax error") + (f" at position {position}" if position else "")


def _tidy(message: str) -> str:
    """One line: "valence of atom 1 N, 4, is greater than permitted"."""
    message = re.sub(r"^Explicit v", "v", " ".join(message.split()))
    return message.replace("atom # ", "atom ").rstrip(".")


@contextmanager
def _captured() -> "Iterator[list[str]]":
    """RDKit's log lines instead of RDKit's log."""
    from rdkit import rdBase

    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("rdkit")
    handlers, propagate = logger.handlers, logger.propagate
    states = [state.split(":") for state in rdBase.LogStatus().split()]
    logger.handlers, logger.propagate = [handler], False
    rdBase.LogToPythonLogger()
    try:
        yield lines
    finally:
        rdBase.LogToCppStreams()
        logger.handlers, logger.propagate = handlers, propagate
        for name, state in states:  # the change of stream has reset them
            (rdBase.EnableLog if state == "enabled" else rdBase.DisableLog)(name)
