"""Building on a scaffold: decorate it at its points, or link two fragments.

A model of SMILES goes on from where its prompt ends. So the molecule as it stands is written in a
random order that ends at the atom where it is to grow: the idea of PromptSMILES (Thomas et al.
2024). Stereo and charges, which many models have never seen, are left out of the prompt and put
back afterwards.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from foundation.adapter import Output
from foundation.domains.molecule.fragments import (
    Fragment,
    Random,
    bearing_hydrogen,
    fragments,
    join,
    open_at,
    opening_of,
    read,
)
from foundation.domains.molecule.plans import Plan, Prompt
from foundation.draws import Draws
from foundation.errors import RequestError

if TYPE_CHECKING:
    from rdkit.Chem import Mol

NO_END = "no SMILES was found that ends at the point"
MOST = 3  # atoms decorated where the user names none


def plan_scaffold(scaffold: str, draws: Draws) -> Plan:
    """The plan for a scaffold as inputs.Generate describes it; refused if it cannot be built on."""
    try:
        parts = fragments(scaffold)
        if [len(part.points) for part in parts] == [1, 1]:
            return Linked(parts[0], parts[1], Random(draws))
        if len(parts) > 1:
            raise RequestError(
                "a scaffold is one fragment, or two with one attachment point each to be linked"
            )
        return Decorated(parts[0], Random(draws))
    except RequestError as error:
        return Refused(str(error))


@dataclass(frozen=True)
class Refused:
    """A scaffold that cannot be used."""

    reason: str

    def follow(self, smiles: str | None) -> Output:
        return Output(None, reason=self.reason, refused=True)


class Decorated:
    """One fragment, grown at each of its points in turn; at drawn atoms where it has none."""

    def __init__(self, fragment: Fragment, random: Random) -> None:
        self._fragment, self._random = fragment, random
        self._sites = bearing_hydrogen(fragment.core)
        if not self._sites:
            raise RequestError("no atom of the scaffold bears hydrogen, so nothing can be added")

    def follow(self, smiles: str | None) -> Prompt | Output:
        core, points, first = self._fragment.core, self._fragment.points, self._fragment.first
        if smiles is None:
            self._left = list(points) or self._drawn()
            return self._grow(first if points else open_at(core, self._left[0]))
        smiles = self._opening.grown(smiles)
        molecule = read(smiles)
        if molecule is None:
            return Output(smiles)  # the check tells why
        if not self._left:
            return _kept(molecule, core)
        if not molecule.GetAtomWithIdx(self._left[0]).GetTotalNumHs():
            return Output(smiles, reason="what was written at one point leaves no room at another")
        return self._grow(open_at(molecule, self._left[0]))

    def _drawn(self) -> list[int]:
        count = 1 + self._random.below(min(MOST, len(self._sites)))
        return self._random.some(self._sites, count)

    def _grow(self, opened: "Mol") -> Prompt | Output:
        """Prompt for the next point; the others' atoms are followed to their places in it."""
        opening = opening_of(opened, self._random)
        if opening is None:
            return Output(None, reason=NO_END)
        self._opening = opening
        self._left = [opening.places[atom] for atom in self._left[1:]]
        return opening.prompt()


class Linked:
    """Two fragments; what is written at the first one's point is bonded to the second one's."""

    def __init__(self, first: Fragment, second: Fragment, random: Random) -> None:
        self._first, self._second, self._random = first, second, random

    def follow(self, smiles: str | None) -> Prompt | Output:
        from rdkit import Chem

        if smiles is None:
            opening = opening_of(self._first.first, self._random)
            if opening is None:
                return Output(None, reason=NO_END)
            self._opening = opening
            return opening.prompt()
        smiles = self._opening.grown(smiles)
        molecule = read(smiles)
        if molecule is None:
            return Output(smiles)
        end = self._opening.places[self._first.points[0]]
        size = self._first.core.GetNumAtoms()
        sites = [i for i in bearing_hydrogen(molecule) if i >= size or i == end]
        # The point itself serves only where nothing else was written.
        sites = sites[1:] if len(sites) > 1 and sites[0] == end else sites
        if not sites:
            return Output(smiles, reason="nothing bears hydrogen where the fragments should join")
        site = sites[self._random.below(len(sites))]
        both = Chem.CombineMols(self._first.core, self._second.core)
        return _kept(join(open_at(molecule, site), self._second.first), both)


def _kept(molecule: "Mol", scaffold: "Mol") -> Output:
    from rdkit import Chem

    kept = molecule.HasSubstructMatch(scaffold, useChirality=True)
    reason = None if kept else "the scaffold was not kept"
    return Output(Chem.MolToSmiles(molecule), reason=reason)
