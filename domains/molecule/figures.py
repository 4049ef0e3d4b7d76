"""What a score can ask of molecules: properties, likeness, substructures, a tuned model's word."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.domains.molecule.inputs import TARGETS
from foundation.errors import RequestError, UnknownName

if TYPE_CHECKING:
    from rdkit.Chem import Mol

Figure = Callable[["Sequence[Mol]"], list[float | None]]
"""Molecules -> a figure each; None where it has no value."""

FINGERPRINTS = ("ECFP4", "ECFP6", "FCFP4", "AP", "PHCO")
FAMILIES = ("pains", "brenk")
COUNTED = ("aromatic_rings", "bertz")


def figure(kind: str, given: Mapping[str, Any], where: str) -> Figure:
    """The figure of a kind with its settings, checked: RequestError, UnknownName.

    property {of}: one of inputs.TARGETS, aromatic_rings or bertz (Bertz's complexity).
    atoms {of}: how many atoms of an element. formula {is}: 1 for molecules of this formula, less
        for others, see `_formula`. similarity {to, fingerprint: ECFP4}: Tanimoto's, 0 to 1, of
        counts (ECFP4, ECFP6, FCFP4; AP: atom pairs up to 10 bonds apart) or of the bits of Gobbi
        and Poppinger's pharmacophores (PHCO). substructure {smarts, present: true}: 1 or 0.
    alerts {families: [pains, brenk]}: 1 without any alert, else 0. tuned {path, label}: what a head
        that task=tune made tells: its value, or the probability of a label.
    """
    if kind not in _KINDS:
        raise UnknownName("kind", kind, _KINDS, f"({where})")
    make, needed, known = _KINDS[kind]
    for name in given:
        if name not in (*needed, *known):
            raise UnknownName("setting", name, (*needed, *known), f"of {where}")
    lacking = [name for name in needed if given.get(name) is None]
    if lacking:
        raise RequestError(f"{where}: {kind} needs {', '.join(lacking)}")
    try:
        return make(**_safe(given))
    except ValueError as error:
        raise RequestError(f"{where}: {error}") from None


def _safe(given: Mapping[str, Any]) -> dict[str, Any]:
    """`is` is no name in Python."""
    return {"formula" if name == "is" else name: value for name, value in given.items()}


def molecule(smiles: str) -> "Mol":
    """A molecule that a setting names; ValueError where RDKit cannot read it."""
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        found = Chem.MolFromSmiles(str(smiles))
    if found is None or not found.GetNumAtoms():
        raise ValueError(f"RDKit cannot read '{smiles}'")
    return found


def _each(function: "Callable[[Mol], float | None]") -> Figure:
    return lambda molecules: [function(each) for each in molecules]


def _property(of: str) -> Figure:
    known = (*TARGETS, *COUNTED)
    if of not in known:
        raise UnknownName("property", str(of), known)
    if of in COUNTED:
        from rdkit.Chem.GraphDescriptors import BertzCT
        from rdkit.Chem.rdMolDescriptors import CalcNumAromaticRings

        return _each(BertzCT if of == "bertz" else CalcNumAromaticRings)
    from foundation.domains.molecule.descriptors import describe

    return _each(lambda each: describe(each, [of])[of])


def _atoms(of: str) -> Figure:
    number = _number(of)
    return _each(lambda each: sum(a.GetAtomicNum() == number for a in each.GetAtoms()))


def _number(element: str) -> int:
    from rdkit import rdBase
    from rdkit.Chem import GetPeriodicTable

    try:
        with rdBase.BlockLogs():
            return int(GetPeriodicTable().GetAtomicNumber(element))
    except RuntimeError:
        raise ValueError(f"there is no element '{element}'") from None


def _formula(formula: str) -> Figure:
    """The geometric mean of Gaussian curves: each element's count within 1, that of all within 2.

    Hydrogens count. Elements that are not in the formula tell by the number of all atoms alone
    (Brown et al. 2019, as the oracles of TDC have it).
    """
    from collections import Counter

    from rdkit.Chem import AddHs

    from foundation.domains.molecule.curves import curve

    wanted = {_number(name): count for name, count in _counted(formula).items()}
    near = {
        number: curve({"kind": "gaussian", "at": count, "width": 1.0}, "formula")
        for number, count in wanted.items()
    }
    all_near = curve({"kind": "gaussian", "at": sum(wanted.values()), "width": 2.0}, "formula")

    def told(each: "Mol") -> float:
        counts = Counter(atom.GetAtomicNum() for atom in AddHs(each).GetAtoms())
        product = all_near(counts.total())
        for number, told_of in near.items():
            product *= told_of(counts[number])
        return float(product ** (1 / (len(near) + 1)))

    return _each(told)


def _counted(formula: str) -> dict[str, int]:
    import re

    if not re.fullmatch(r"([A-Z][a-z]?\d*)+", str(formula)):
        raise ValueError(f"'{formula}' is no formula such as C9H8O4")
    found: dict[str, int] = {}
    for name, count in re.findall(r"([A-Z][a-z]?)(\d*)", formula):
        found[name] = found.get(name, 0) + int(count or 1)
    return found


def _similarity(to: str, fingerprint: str = "ECFP4") -> Figure:
    from rdkit.DataStructs import TanimotoSimilarity

    if fingerprint not in FINGERPRINTS:
        raise UnknownName("fingerprint", str(fingerprint), FINGERPRINTS)
    bits = _fingerprints()[fingerprint]
    wanted = bits(molecule(to))
    return _each(lambda each: float(TanimotoSimilarity(wanted, bits(each))))


@lru_cache(maxsize=1)
def _fingerprints() -> "dict[str, Callable[[Mol], Any]]":
    from rdkit.Chem import rdFingerprintGenerator as made

    features = made.GetMorganFeatureAtomInvGen()
    pairs = made.GetAtomPairGenerator(maxDistance=10, countSimulation=False)
    return {
        "ECFP4": made.GetMorganGenerator(radius=2).GetSparseCountFingerprint,
        "ECFP6": made.GetMorganGenerator(radius=3).GetSparseCountFingerprint,
        "FCFP4": made.GetMorganGenerator(
            radius=2, atomInvariantsGenerator=features
        ).GetSparseCountFingerprint,
        "AP": pairs.GetSparseCountFingerprint,
        "PHCO": _pharmacophores,
    }


def _pharmacophores(each: "Mol") -> Any:
    from rdkit.Chem.Pharm2D import Generate, Gobbi_Pharm2D

    return Generate.Gen2DFingerprint(each, Gobbi_Pharm2D.factory)


def _substructure(smarts: str, present: bool = True) -> Figure:
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        query = Chem.MolFromSmarts(str(smarts))
    if query is None or not query.GetNumAtoms():
        raise ValueError(f"RDKit cannot read the SMARTS '{smarts}'")
    return _each(lambda each: float(each.HasSubstructMatch(query) == bool(present)))


def _alerts(families: Sequence[str] = FAMILIES) -> Figure:
    from foundation.domains.molecule.alerts import alert_screen

    asked = [families] if isinstance(families, str) else list(families)
    for name in asked:
        if name not in FAMILIES:
            raise UnknownName("family", str(name), FAMILIES)

    def told(each: "Mol") -> float:
        found = alert_screen()(each)
        return float(not any(getattr(found, name) for name in asked))

    return _each(told)


def _tuned(path: str, label: str | None = None) -> Figure:
    folder = Path(str(path)).expanduser()
    if not (folder / "head.json").is_file():
        raise ValueError(f"{folder} holds no tuned head: give the model/ of a task=tune run")
    reader = _reader(folder)
    labels = reader.head.labels
    if labels and label not in labels:
        raise UnknownName("label", str(label), labels, f"of {folder}")
    if not labels and label is not None:
        raise ValueError(f"{folder} tells a value and has no labels")
    return partial(_told, reader, labels.index(label) if labels else 0)


def _reader(folder: Path) -> Any:
    from foundation.adapter import Placement
    from foundation.domains.molecule.adapter import SmilesGru
    from foundation.spec import ModelSpec

    reader = SmilesGru()
    reader.load(ModelSpec(str(folder), "molecule", "", f"path:{folder}"), folder, Placement())
    return reader


def _told(reader: Any, place: int, molecules: "Sequence[Mol]") -> list[float | None]:
    from rdkit.Chem import MolToSmiles

    from foundation.domains.molecule.inputs import Molecule
    from foundation.domains.molecule.reading import read_molecules

    batch = [Molecule(MolToSmiles(each)) for each in molecules]
    found: list[float | None] = [None] * len(batch)
    for row, output in read_molecules(reader, "embed", batch, "cpu"):
        if output.reason is None:
            found[row] = float(reader.head.told(output.extra["embedding"])[place])
    return found


_KINDS: dict[str, tuple[Callable[..., Figure], tuple[str, ...], tuple[str, ...]]] = {
    "property": (_property, ("of",), ()),
    "atoms": (_atoms, ("of",), ()),
    "formula": (_formula, ("is",), ()),
    "similarity": (_similarity, ("to",), ("fingerprint",)),
    "substructure": (_substructure, ("smarts",), ("present",)),
    "alerts": (_alerts, (), ("families",)),
    "tuned": (_tuned, ("path",), ("label",)),
}
