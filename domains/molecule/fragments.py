"""Molecules with attachment points, written so that a model goes on at one of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from foundation.domains.molecule.plans import Prompt
from foundation.draws import Draws
from foundation.errors import RequestError

if TYPE_CHECKING:
    from rdkit.Chem import Mol

FIRST_STEP = 2**31  # far above the steps at which tokens are drawn
TRIES = 128  # SMILES written before a point is given up
TRAINED = 16  # of these, in the manner of the training


@dataclass(frozen=True)
class Fragment:
    """core: with hydrogen at its attachment points. points: the atoms that bear them, in order.

    first: the core with a dummy atom, the last one, at the first of its points, if it has any.
    """

    core: "Mol"
    points: tuple[int, ...]
    first: "Mol"


@dataclass(frozen=True)
class Opening:
    """A molecule written to its growing end.

    text: its SMILES up to there. plain: the same without stereo and charges, for the model.
    places: atom -> its place in `text`.
    """

    text: str
    plain: str
    places: Mapping[int, int]

    def prompt(self) -> Prompt:
        return Prompt(self.plain, randomised=True)

    def grown(self, smiles: str) -> str:
        """What the model wrote, on the molecule as it is; hydrogen where it wrote nothing."""
        return self.text + (smiles.removeprefix(self.plain) or "[H]")


class Random:
    """One request's random numbers beside those of its tokens."""

    def __init__(self, draws: Draws) -> None:
        self._draws, self._step = draws, FIRST_STEP

    def below(self, count: int) -> int:
        """A whole number from 0 to count - 1, count at most 2**24."""
        self._step += 1
        return int(self._draws.uniform(self._step)[0] * count)

    def some(self, numbers: Sequence[int], count: int) -> list[int]:
        """`count` of the numbers, each at most once, in a random order."""
        self._step += 1
        order = self._draws.uniform(self._step, (len(numbers),))[0].argsort()
        return [numbers[i] for i in order[:count]]


@lru_cache(maxsize=64)
def fragments(scaffold: str) -> tuple[Fragment, ...]:
    """The fragments of a scaffold's SMILES; RequestError for what cannot be read or grown."""
    from rdkit import Chem

    from foundation.domains.molecule.checks import check

    answer = check([scaffold], ["canonical"])[0]
    if not answer["valid"]:
        raise RequestError(f"cannot read the scaffold {scaffold}: {answer['reason']}")
    return tuple(map(_fragment, Chem.GetMolFrags(Chem.MolFromSmiles(scaffold), asMols=True)))


def _fragment(molecule: "Mol") -> Fragment:
    """Find the attachment points, which are dummy atoms."""
    dummies = []
    for atom in molecule.GetAtoms():
        if not atom.GetAtomicNum():
            dummies.append((atom.GetAtomMapNum() or atom.GetIsotope(), atom.GetIdx()))
        atom.SetAtomMapNum(0)
    order = [index for _, index in sorted(dummies)]
    for index in order:
        bonds = molecule.GetAtomWithIdx(index).GetBonds()
        other = bonds[0].GetOtherAtom(molecule.GetAtomWithIdx(index)) if len(bonds) == 1 else None
        if other is None or other.GetAtomicNum() < 2 or bonds[0].GetBondTypeAsDouble() != 1:
            raise RequestError("an attachment point has one single bond to an atom, as in C[*:1]")
    core, places = _capped(molecule, order)
    owners = [molecule.GetAtomWithIdx(index).GetNeighbors()[0].GetIdx() for index in order]
    first = _last(_capped(molecule, order[1:])[0]) if order else core
    return Fragment(core, tuple(places[owner] for owner in owners), first)


def _capped(molecule: "Mol", dummies: Sequence[int]) -> "tuple[Mol, dict[int, int]]":
    """Hydrogen in the place of dummy atoms, and where the other atoms are now."""
    from rdkit import Chem

    copy = Chem.Mol(molecule)
    for atom in copy.GetAtoms():
        atom.SetIntProp("place", atom.GetIdx())
        if atom.GetIdx() in dummies:
            atom.SetAtomicNum(1)
            atom.SetIsotope(0)
    settings: Any = Chem.RemoveHsParameters()
    settings.removeDefiningBondStereo = True
    capped = _tidied(Chem.RemoveHs(copy, settings))
    return capped, {atom.GetIntProp("place"): atom.GetIdx() for atom in capped.GetAtoms()}


def _last(molecule: "Mol") -> "Mol":
    """The same molecule with its dummy atom as the last one, without a label."""
    from rdkit import Chem

    dummy = next(atom for atom in molecule.GetAtoms() if not atom.GetAtomicNum())
    dummy.SetIsotope(0)
    rest = [i for i in range(molecule.GetNumAtoms()) if i != dummy.GetIdx()]
    moved: Mol = Chem.RenumberAtoms(molecule, [*rest, dummy.GetIdx()])
    return moved


def read(smiles: str) -> "Mol | None":
    """A molecule whose atoms are in the order of its SMILES."""
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    return molecule if molecule is not None and molecule.GetNumAtoms() else None


def bearing_hydrogen(molecule: "Mol") -> list[int]:
    return [atom.GetIdx() for atom in molecule.GetAtoms() if atom.GetTotalNumHs()]


def open_at(molecule: "Mol", atom: int) -> "Mol":
    """Put a dummy atom in the place of one of the atom's hydrogens, as the last atom."""
    from rdkit import Chem

    grown = Chem.AddHs(molecule, onlyOnAtoms=[atom])
    dummy = grown.GetAtomWithIdx(molecule.GetNumAtoms())
    dummy.SetAtomicNum(0)
    return _tidied(Chem.RemoveHs(grown))


def opening_of(opened: "Mol", random: Random) -> Opening | None:
    """Write a molecule so that the next atom takes the dummy's place; None if that fails."""
    from rdkit import Chem
    from rdkit.Chem.MolStandardize import rdMolStandardize

    plain = Chem.Mol(opened)
    Chem.RemoveStereochemistry(plain)
    if any(atom.GetFormalCharge() for atom in plain.GetAtoms()):
        plain = rdMolStandardize.Uncharger().uncharge(plain)
    whole, prompt = _written(opened, random), _written(plain, random)
    if whole is None or prompt is None:
        return None
    places = {atom: place for place, atom in enumerate(whole[1])}
    return Opening(whole[0], prompt[0], places)


def _written(opened: "Mol", random: Random) -> tuple[str, list[int]] | None:
    """A random SMILES that ends with the dummy atom, without that, and the order of its atoms.

    First as in `randomise`, by which models are trained; RDKit's rules for rings forbid some of
    these, so then in an order that is free of them.
    """
    from rdkit import Chem, rdBase

    last = opened.GetNumAtoms() - 1
    roots = _roots(opened)
    for turn in range(TRIES):
        order = random.some(range(last), last)
        root = roots[order[0] % len(roots)] if turn % 2 == 0 else order[0]
        ranks = [root, *(atom for atom in order if atom != root), last]
        shuffled = Chem.RenumberAtoms(opened, ranks)
        if turn < TRAINED:
            text: str = Chem.MolToSmiles(shuffled, canonical=False)
        else:
            rdBase.SeedRandomNumberGenerator(random.below(2**24))
            text = Chem.MolToSmiles(shuffled, doRandom=True, rootedAtAtom=0)
        if text.endswith("*"):
            output = shuffled.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"]
            return text.removesuffix("*").removesuffix("-"), [ranks[atom] for atom in output]
    return None


def _roots(opened: "Mol") -> list[int]:
    """Where a SMILES may well begin: the atom that grows, or its neighbours in its rings."""
    grows = opened.GetAtomWithIdx(opened.GetNumAtoms() - 1).GetNeighbors()[0]
    ring = [bond.GetOtherAtomIdx(grows.GetIdx()) for bond in grows.GetBonds() if bond.IsInRing()]
    return ring or [grows.GetIdx()]


def _tidied(molecule: "Mol") -> "Mol":
    """A copy without stereo marks on atoms and bonds that have no stereo."""
    from rdkit import Chem

    copy = Chem.Mol(molecule)
    Chem.AssignStereochemistry(copy, cleanIt=True, force=True)
    return copy


def join(first: "Mol", second: "Mol") -> "Mol":
    """Bond two molecules at their dummy atoms, keeping what stereo they have."""
    from rdkit import Chem

    labelled = [Chem.Mol(first), Chem.Mol(second)]
    for molecule in labelled:
        molecule.GetAtomWithIdx(molecule.GetNumAtoms() - 1).SetAtomMapNum(1)
    joined: Mol = Chem.molzip(*labelled)
    Chem.SanitizeMol(joined)
    return joined
