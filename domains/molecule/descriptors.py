"""Descriptors of one molecule, with RDKit's values, computed once and shared.

QED is rdkit.Chem.QED's and the synthetic accessibility RDKit's Contrib sascorer's: their data and
formulas are read from the installed RDKit and only what they ask of a molecule is had cheaper.
"""

from collections.abc import Callable, Collection
from functools import lru_cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from foundation.domains.molecule.alerts import Alerts, alert_screen
from foundation.errors import SourceError

if TYPE_CHECKING:
    from rdkit.Chem import Mol

DESCRIPTORS = (
    "weight",
    "logp",
    "tpsa",
    "donors",
    "acceptors",
    "rotatable_bonds",
    "rings",
    "qed",
    "sa",
    "lipinski",
    "pains",
    "brenk",
)
_SIMPLE = DESCRIPTORS[:7]
_NEEDS = {"lipinski": ("weight", "logp", "donors", "acceptors"), "qed": _SIMPLE}


def describe(molecule: "Mol", names: Collection[str] = DESCRIPTORS) -> dict[str, Any]:
    """The named descriptors of a sanitised molecule of at least one atom.

    weight: average, g/mol. logp: Wildman-Crippen. tpsa: Å^2. donors, acceptors: RDKit's
    NumHDonors and NumHAcceptors. rotatable_bonds: RDKit's strict count. rings: of the symmetrised
    smallest set. qed: Bickerton et al. 2012, mean weights, 0..1. sa: Ertl and Schuffenhauer 2009,
    1 (easy) .. 10. lipinski: at most one of weight <= 500, logp <= 5, donors <= 5 and
    acceptors <= 10 is broken. pains, brenk: names of the alerts. A qed or sa that has no value
    for this molecule (a number overflows) is None.
    """
    wanted = {part for name in names for part in (name, *_NEEDS.get(name, ()))}
    row: dict[str, Any] = {name: _simple(name)(molecule) for name in _SIMPLE if name in wanted}
    alerts = alert_screen()(molecule) if {"qed", "pains", "brenk"} & wanted else Alerts([], [], 0)
    row["pains"], row["brenk"] = alerts.pains, alerts.brenk
    if "lipinski" in wanted:
        row["lipinski"] = (
            (row["weight"] > 500)
            + (row["logp"] > 5)
            + (row["donors"] > 5)
            + (row["acceptors"] > 10)
        ) <= 1
    if "qed" in wanted:
        row["qed"] = _or_none(_qed, molecule, row, alerts.qed)
    if "sa" in wanted:
        row["sa"] = _or_none(_sascorer().calculateScore, molecule)
    return {name: row[name] for name in DESCRIPTORS if name in names}


@lru_cache(maxsize=1)
def _functions() -> "dict[str, Callable[[Mol], Any]]":
    from rdkit.Chem import rdMolDescriptors as rdmd

    strict = rdmd.NumRotatableBondsOptions.Strict
    return {
        "weight": rdmd._CalcMolWt,
        "logp": lambda molecule: rdmd.CalcCrippenDescriptors(molecule)[0],
        "tpsa": rdmd.CalcTPSA,
        "donors": rdmd.CalcNumHBD,
        "acceptors": rdmd.CalcNumHBA,
        "rotatable_bonds": lambda molecule: rdmd.CalcNumRotatableBonds(molecule, strict),
        "rings": rdmd.CalcNumRings,
    }


def _simple(name: str) -> "Callable[[Mol], Any]":
    return _functions()[name]


def _or_none(function: "Callable[..., float]", *arguments: Any) -> float | None:
    try:
        return function(*arguments)
    except (ArithmeticError, ValueError, RuntimeError):
        return None


def _qed(molecule: "Mol", row: dict[str, Any], alerts: int) -> float:
    """rdkit.Chem.QED.qed from properties that are already known."""
    from rdkit.Chem import QED, RemoveHs

    if molecule.GetNumHeavyAtoms() != molecule.GetNumAtoms():
        # QED looks at the molecule without hydrogens; there may be some that RDKit kept.
        molecule = RemoveHs(molecule)
        row = {name: function(molecule) for name, function in _functions().items()}
        alerts = alert_screen()(molecule).qed
    properties = QED.QEDproperties(
        MW=row["weight"],
        ALOGP=row["logp"],
        HBA=sum(len(molecule.GetSubstructMatches(query)) for query in QED.Acceptors),
        HBD=row["donors"],
        PSA=row["tpsa"],
        ROTB=row["rotatable_bonds"],
        AROM=_aromatic_rings(molecule),
        ALERTS=alerts,
    )
    value: float = QED.qed(None, qedProperties=properties)
    return value


def _aromatic_rings(molecule: "Mol") -> int:
    """Rings left when the aliphatic ring atoms are deleted, as QED counts aromatic rings."""
    from rdkit.Chem import QED, DeleteSubstructs, GetSSSR

    if not molecule.GetRingInfo().NumRings():
        return 0
    return len(GetSSSR(DeleteSubstructs(molecule, QED.AliphaticRings)))


@lru_cache(maxsize=1)
def _sascorer() -> ModuleType:
    """A private copy of RDKit's Contrib sascorer that does not perceive stereo again.

    MolFromSmiles has flagged every possible stereocentre already; the scorer only counts them.
    """
    from importlib.util import module_from_spec, spec_from_file_location

    from rdkit import RDConfig
    from rdkit.Chem.rdMolDescriptors import CalcNumAtomStereoCenters

    path = Path(RDConfig.RDContribDir) / "SA_Score" / "sascorer.py"
    spec = spec_from_file_location("foundation_sascorer", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise SourceError(f"this RDKit has no {path} for the column sa: pip install rdkit")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)

    def centres(molecule: "Mol", includeUnassigned: bool) -> range:
        return range(CalcNumAtomStereoCenters(molecule))

    module.Chem = SimpleNamespace(FindMolChiralCenters=centres)  # type: ignore[attr-defined]
    module.readFragmentScores()
    return module
