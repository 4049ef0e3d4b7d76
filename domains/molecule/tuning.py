"""Molecules as the trainer sees them: told a label or a value, or written."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.adapter import Start, Tunable
from foundation.domains.molecule.files import _LISTS, _wrong
from foundation.errors import InputError
from foundation.tuning.data import records
from foundation.tuning.field import OneField
from foundation.tuning.leakage import Likeness
from foundation.tuning.told import Row, Told

if TYPE_CHECKING:
    import torch

FIELDS = {
    "smiles": ("smiles", "canonical_smiles"),
    "label": ("label", "class", "active"),
    "value": ("value", "target", "y"),
}


def read(path: Path, columns: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Rows of a table, or of a list of SMILES or an SDF: smiles, and a label or a value.

    SMILES are written canonically, as the model reads them; what RDKit cannot read is an error.
    """
    from rdkit import Chem, rdBase

    goal = None

    def check(row: dict[str, Any]) -> str | None:
        nonlocal goal
        goal = goal or next((n for n in ("label", "value") if row[n] is not None), "none")
        refused = _refused(row, goal)
        molecule = None if refused else Chem.MolFromSmiles(row["smiles"])
        if refused is None and (molecule is None or not molecule.GetNumAtoms()):
            return f"RDKit cannot read '{row['smiles'][:60]}'"
        if molecule is not None:
            row["smiles"] = Chem.MolToSmiles(molecule)
        return refused

    with rdBase.BlockLogs():
        yield from records(path, FIELDS, columns, "molecules", _LISTS, check)


def _refused(row: Mapping[str, Any], goal: str) -> str | None:
    """Why a row cannot be learnt from."""
    wrong = _wrong((row["smiles"] or "").strip())
    if wrong or goal == "none":
        return wrong
    text = (row[goal] or "").strip()
    if not text:
        return f"no {goal}"
    if goal == "label":
        return f"the label is '{text}'" if text.lower() in ("nan", "null", "none") else None
    try:
        number = float(text)
    except ValueError:
        return f"'{text[:40]}' is no number"
    return None if math.isfinite(number) else f"the value is {text}"


def scaffold(row: Mapping[str, Any]) -> str:
    """The ring systems and what links them (Bemis and Murcko 1996); a molecule without rings is
    its own."""
    from rdkit import Chem, rdBase
    from rdkit.Chem.Scaffolds import MurckoScaffold

    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(row["smiles"])
        core = MurckoScaffold.GetScaffoldForMol(molecule)
        return Chem.MolToSmiles(core) if core.GetNumAtoms() else row["smiles"]


LIKENESSES = (
    Likeness("the same molecule", lambda row: row["smiles"], lambda text: (text,)),
    Likeness("the same scaffold", scaffold, lambda text: (text,), refuses=False),
)


def begin(start: Start) -> Tunable:
    """A head on the starter's states where rows have a label or a value, else the starter."""
    from foundation.domains.molecule import training

    if start.spec.adapter.rpartition(":")[2] != "SmilesGru":
        raise InputError(f"{start.spec.name} cannot be tuned: molecule/starter can")
    if start.method == "lora":
        raise InputError(
            f"{start.spec.name} is recurrent and has no layers that LoRA adapts: use "
            "task.method=head or full"
        )
    kind = next((name for name in ("label", "value") if start.rows[0][name] is not None), None)
    if kind is not None and start.method != "pretrain":
        return ToldMolecule(start, kind)
    if start.method == "head":
        raise InputError("task.method=head needs a column label or value: see task.columns")
    if start.method == "full":
        return OneField(training.read(start.folder), "smiles")
    shape = {"vocabulary": 320, "width": 512, "layers": 3, **start.options["shape"]}
    smiles = [row["smiles"] for row in islice(start.rows, 300_000)]
    return OneField(training.SmilesTraining.begin(smiles, shape, start.seed), "smiles")


class ToldMolecule(Told):
    """The starter's network, the mean of its states, and a linear head."""

    together = 256

    def __init__(self, start: Start, kind: str) -> None:
        from foundation.domains.molecule import training

        inner = training.read(start.folder)
        super().__init__(start, inner.network)
        self.tokenizer = inner.tokenizer
        self.lay(self.fresh(kind))

    def item(self, row: Row) -> str:
        return str(row["smiles"])

    def size(self, row: Row) -> int:
        return len(row["smiles"])

    def batch(self, items: Sequence[str]) -> "dict[str, torch.Tensor]":
        """Tokens, and which of them are no padding."""
        import torch

        from foundation.domains.molecule.tokenizer import BEGIN, pad

        tokens = torch.tensor(pad(self.tokenizer, items, [BEGIN] * len(items)))
        return {"tokens": tokens, "real": tokens[:, 1:] != 0}

    def encoded(self, batch: "dict[str, torch.Tensor]") -> "torch.Tensor":
        """The mean of the states over all tokens but the end, as task=embed has it."""
        states, real = self.network(batch["tokens"][:, :-1]).float(), batch["real"].unsqueeze(-1)
        means: torch.Tensor = (states * real).sum(1) / real.sum(1)
        return means

    def targets(self) -> Sequence[str]:
        return ()

    def save(self, folder: Path) -> None:
        """Write the starter's files, head.safetensors and head.json."""
        from foundation.domains.molecule.head import write_head
        from foundation.domains.molecule.training import SmilesTraining

        SmilesTraining(self.network, self.tokenizer).save(folder)  # type: ignore[arg-type]
        write_head(folder, self.labels, self.head.weights())


def fingerprints(
    model: Any,
    rows: Sequence[Mapping[str, Any]],
    asked: Sequence[Mapping[str, Any]],
    labels: Sequence[str],
) -> Any:
    """The sceptic's baseline: ridge or logistic regression on Morgan fingerprints (2,048 bits)."""
    from foundation.tuning.plain import told

    return told(_bits(rows), _bits(asked), rows, labels)


def descriptors(
    model: Any,
    rows: Sequence[Mapping[str, Any]],
    asked: Sequence[Mapping[str, Any]],
    labels: Sequence[str],
) -> Any:
    """Ridge or logistic regression on RDKit's two-dimensional descriptors and bends of them."""
    from foundation.tuning.plain import bent, told

    return told(*bent(_described(rows), _described(asked)), rows, labels)


def _described(rows: Sequence[Mapping[str, Any]]) -> Any:
    """[rows, descriptors], those of many sizes as logarithms.

    Without counts of named fragments, which few molecules have, and without QED, a score of them.
    """
    import numpy as np
    from rdkit import Chem
    from rdkit.Chem.Descriptors import descList

    asked = [tell for name, tell in descList if not name.startswith("fr_") and name != "qed"]
    found = [
        [tell(molecule) for tell in asked]
        for molecule in (Chem.MolFromSmiles(row["smiles"]) for row in rows)
    ]
    plain = np.nan_to_num(np.array(found, np.float64))
    return np.sign(plain) * np.log1p(np.abs(plain))


def _bits(rows: Sequence[Mapping[str, Any]]) -> Any:
    import numpy as np
    from rdkit import Chem
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    made = GetMorganGenerator(radius=2, fpSize=2048)
    return np.stack(
        [made.GetCountFingerprintAsNumPy(Chem.MolFromSmiles(row["smiles"])) for row in rows]
    ).astype(np.float32)
