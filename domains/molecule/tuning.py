"""Molecules as the trainer sees them: told a label or a value, or written."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.adapter import Start, Tunable
from foundation.domains.molecule.files import _LISTS, _wrong
from foundation.draws import Draws
from foundation.errors import InputError
from foundation.tuning.data import records
from foundation.tuning.field import OneField
from foundation.tuning.heads import SAMPLE, Goal, Head
from foundation.tuning.leakage import Likeness

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


class ToldMolecule:
    """The starter's network, the mean of its states, and a linear head."""

    def __init__(self, start: Start, kind: str) -> None:
        import torch

        from foundation.domains.molecule import training

        inner = training.read(start.folder)
        self.start, self.kind = start, kind
        self.network, self.tokenizer = inner.network, inner.tokenizer
        self.goal = Goal.of(start.rows, kind)
        self.labels = self.goal.labels
        self._vectors: dict[str, torch.Tensor] = {}
        step = max(1, len(start.rows) // SAMPLE)
        chosen = [row["smiles"] for row in islice(start.rows, 0, None, step)]
        self.head = Head(self.goal, self._frozen(chosen))
        self.whole = torch.nn.ModuleDict({"base": self.network, "head": self.head.layer})

    def module(self) -> "torch.nn.Module":
        return self.head.layer if self.start.method == "head" else self.whole

    def size(self, row: Mapping[str, Any]) -> int:
        return len(row["smiles"])

    def wanted(self, row: Mapping[str, Any]) -> float:
        return self.goal.wanted(row)

    def collate(
        self, rows: Sequence[Mapping[str, Any]], draws: Draws, augment: float
    ) -> "dict[str, torch.Tensor]":
        """Tokens with their mask, or states' means where the network is frozen."""
        smiles = [row["smiles"] for row in rows]
        batch = {"targets": self.goal.tensor(rows)}
        if self.start.method == "head":
            return {**batch, "vectors": self._frozen(smiles)}
        return {**batch, **self._tokens(smiles)}

    def loss(self, batch: "dict[str, torch.Tensor]") -> "tuple[torch.Tensor, int]":
        """Summed cross entropy or squared error, and the number of molecules."""
        return self.goal.loss(self._given(batch), batch["targets"])

    def predict(self, batch: "dict[str, torch.Tensor]") -> "torch.Tensor":
        return self.goal.shown(self._given(batch))

    def targets(self) -> Sequence[str]:
        return ()

    def save(self, folder: Path) -> None:
        """Write the starter's files, head.safetensors and head.json."""
        from foundation.domains.molecule.head import write_head
        from foundation.domains.molecule.training import SmilesTraining

        SmilesTraining(self.network, self.tokenizer).save(folder)
        write_head(folder, self.labels, self.head.weights())

    def _given(self, batch: "dict[str, torch.Tensor]") -> "torch.Tensor":
        return self.head(batch["vectors"] if "vectors" in batch else self._encoded(batch))

    def _encoded(self, batch: "dict[str, torch.Tensor]") -> "torch.Tensor":
        """The mean of the states over all tokens but the end, as task=embed has it."""
        states, real = self.network(batch["tokens"][:, :-1]).float(), batch["real"].unsqueeze(-1)
        means: torch.Tensor = (states * real).sum(1) / real.sum(1)
        return means

    def _tokens(self, smiles: Sequence[str]) -> "dict[str, torch.Tensor]":
        import torch

        from foundation.domains.molecule.tokenizer import BEGIN, pad

        tokens = torch.tensor(pad(self.tokenizer, smiles, [BEGIN] * len(smiles)))
        return {"tokens": tokens, "real": tokens[:, 1:] != 0}

    def _frozen(self, smiles: Sequence[str]) -> "torch.Tensor":
        """Means of the states of the network as it is, the latest ones kept."""
        import torch

        new = sorted({text for text in smiles if text not in self._vectors}, key=len)
        device = next(self.network.parameters()).device
        with torch.no_grad():
            for first in range(0, len(new), 256):
                some = new[first : first + 256]
                batch = {n: v.to(device) for n, v in self._tokens(some).items()}
                self._vectors.update(zip(some, self._encoded(batch).cpu(), strict=True))
        vectors = torch.stack([self._vectors[text] for text in smiles])
        while len(self._vectors) > 100_000:
            del self._vectors[next(iter(self._vectors))]
        return vectors


def fingerprints(
    model: Any,
    rows: Sequence[Mapping[str, Any]],
    asked: Sequence[Mapping[str, Any]],
    labels: Sequence[str],
) -> Any:
    """The sceptic's baseline: ridge or logistic regression on Morgan fingerprints (2,048 bits)."""
    from foundation.tuning.plain import told

    return told(_bits(rows), _bits(asked), rows, labels)


def _bits(rows: Sequence[Mapping[str, Any]]) -> Any:
    import numpy as np
    from rdkit import Chem
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    made = GetMorganGenerator(radius=2, fpSize=2048)
    return np.stack(
        [made.GetCountFingerprintAsNumPy(Chem.MolFromSmiles(row["smiles"])) for row in rows]
    ).astype(np.float32)
