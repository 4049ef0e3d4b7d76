"""Randomised SMILES: the same molecule, written from another atom in another order."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


def randomise(smiles: str, order: "NDArray[Any]") -> str:
    """A random SMILES of a molecule (Arus-Pous et al. 2019).

    order: random numbers, at least one an atom, by which the atoms are sorted. A SMILES
    that cannot be parsed, or has more atoms than that, is returned as it is.
    """
    from rdkit import Chem

    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or molecule.GetNumAtoms() > len(order):
        return smiles
    shuffled = Chem.RenumberAtoms(molecule, order[: molecule.GetNumAtoms()].argsort().tolist())
    return str(Chem.MolToSmiles(shuffled, canonical=False))
