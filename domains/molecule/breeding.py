"""Children of molecules: two are cut and their halves joined, and some children are mutated.

After Jensen, "A graph-based genetic algorithm and generative model/Monte Carlo tree search for the
exploration of chemical space" (2019).
"""

import random
from collections.abc import Sequence
from functools import cache
from typing import Any

from rdkit import Chem, rdBase
from rdkit.Chem.rdChemReactions import ReactionFromSmarts

ATTEMPTS = 10
SIZE, SPREAD = 39.15, 3.5  # atoms of a child at most, drawn anew for each
CUT = "[*]-;!@[*]"
# Two bonds of a ring, next to each other or across it.
RING_CUTS = ("[R]@[R;!D2]@[R]", "[R]@[R]@[R]@[R]")
JOINS = ("[*:1]~[1*].[1*]~[*:2]>>[*:1]-[*:2]", "[*:1]~[1*].[1*]~[*:2]>>[*:1]=[*:2]")
CLOSINGS = ("([*:1]~[1*].[1*]~[*:2])>>[*:1]-[*:2]", "([*:1]~[1*].[1*]~[*:2])>>[*:1]=[*:2]")
ELEMENTS = ("C", "N", "O", "F", "S", "Cl", "Br")
NUMBERS = {"C": 6, "N": 7, "O": 8, "F": 9, "S": 16, "Cl": 17, "Br": 35}


def child(parents: Sequence[str], mutation: float, chance: random.Random) -> str | None:
    """A child of two molecules, at times mutated, as canonical SMILES; None if none came about."""
    with rdBase.BlockLogs():
        first, second = map(Chem.MolFromSmiles, parents)
        child = _crossed(first, second, chance)
        if child is not None and chance.random() < mutation:
            child = _mutated(child, chance)
        return None if child is None else Chem.MolToSmiles(child)


def _crossed(first: Any, second: Any, chance: random.Random) -> Any:
    for mol in (first, second):
        Chem.Kekulize(mol, clearAromaticFlags=True)
    for _ in range(ATTEMPTS):
        through_ring = chance.random() < 0.5
        halves = [(_ring_halves if through_ring else _halves)(m, chance) for m in (first, second)]
        if None in halves:
            continue
        joined = _joined(halves[0], halves[1], through_ring, chance)
        if joined:
            return chance.choice(joined)
    return None


def _joined(ones: Any, others: Any, through_ring: bool, chance: random.Random) -> list[Any]:
    found = []
    for one in ones:
        for other in others:
            made = [p[0] for join in JOINS[: 1 + through_ring] for p in _run(join, (one, other))]
            if through_ring:
                made = [p[0] for m in made for close in CLOSINGS for p in _run(close, (m,))]
            found += [m for m in map(_clean, made) if m is not None and _fits(m, chance)]
    return found


def _halves(mol: Any, chance: random.Random) -> Any:
    """Two fragments with a dummy atom each, cut at a bond outside rings."""
    bonds = mol.GetSubstructMatches(_query(CUT))
    if not bonds:
        return None
    first, second = chance.choice(bonds)
    return _fragments(mol, [mol.GetBondBetweenAtoms(first, second).GetIdx()])


def _ring_halves(mol: Any, chance: random.Random) -> Any:
    """Two fragments with two dummy atoms each, cut through a ring."""
    pattern = chance.choice(RING_CUTS)
    places = mol.GetSubstructMatches(_query(pattern))
    if not places:
        return None
    place = chance.choice(places)
    ends = ((place[0], place[1]), (place[-2], place[-1]))
    return _fragments(mol, [mol.GetBondBetweenAtoms(*pair).GetIdx() for pair in ends])


def _fragments(mol: Any, bonds: Sequence[int]) -> Any:
    try:
        cut = Chem.FragmentOnBonds(mol, bonds, dummyLabels=[(1, 1)] * len(bonds))
        parts = Chem.GetMolFrags(cut, asMols=True, sanitizeFrags=False)
    except ValueError:
        return None
    return parts if len(parts) == 2 else None


def _mutated(mol: Any, chance: random.Random) -> Any:
    """A neighbour of the molecule; the molecule itself where no attempt gives one."""
    kinds = (_insert, _order, _open, _ring, _delete, _change, _append)
    Chem.Kekulize(mol, clearAromaticFlags=True)
    for _ in range(ATTEMPTS):
        kind = chance.choices(kinds, (0.15, 0.14, 0.14, 0.14, 0.14, 0.14, 0.15))[0]
        made = [p[0] for p in _run(kind(mol, chance), (mol,))]
        good = [m for m in map(_clean, made) if m is not None and _fits(m, chance)]
        if good:
            return chance.choice(good)
    return mol


def _insert(mol: Any, chance: random.Random) -> str:
    bond = chance.choices(("-", "=", "#"), (0.6, 0.35, 0.05))[0]
    element = chance.choice({"-": ("C", "N", "O", "S"), "=": ("C", "N"), "#": ("C",)}[bond])
    free = {"-": "[*:1]~[*:2]", "=": "[*;!H0:1]~[*:2]", "#": "[*;!H0;!H1:1]~[*:2]"}[bond]
    return f"{free}>>[*:1]{bond}{element}-[*:2]"


def _order(mol: Any, chance: random.Random) -> str:
    changes = (
        "[*:1]!-[*:2]>>[*:1]-[*:2]",
        "[*;!H0:1]-[*;!H0:2]>>[*:1]=[*:2]",
        "[*:1]#[*:2]>>[*:1]=[*:2]",
        "[*;!R;!H1;!H0:1]~[*;!R;!H1;!H0:2]>>[*:1]#[*:2]",
    )
    return chance.choices(changes, (0.45, 0.45, 0.05, 0.05))[0]


def _open(mol: Any, chance: random.Random) -> str:
    return "[*:1]@[*:2]>>([*:1].[*:2])"


def _ring(mol: Any, chance: random.Random) -> str:
    size = chance.choices((3, 4, 5, 6), (0.05, 0.05, 0.45, 0.45))[0]
    inner = [f"[*;!r:{n}]" for n in range(2, size)]
    before = "~".join(["[*;!r;!H0:1]", *inner, f"[*;!r;!H0:{size}]"])
    after = "~".join(["[*:1]1", *(f"[*:{n}]" for n in range(2, size)), f"[*:{size}]1"])
    return f"{before}>>{after}"


def _delete(mol: Any, chance: random.Random) -> str:
    return chance.choice((
        "[*:1]~[D1:2]>>[*:1]",
        "[*:1]~[D2:2]~[*:3]>>[*:1]-[*:3]",
        "[*:1]~[D3:2](~[*;!H0:3])~[*:4]>>[*:1]-[*:3]-[*:4]",
        "[*:1]~[D4:2](~[*;!H0:3])(~[*;!H0:4])~[*:5]>>[*:1]-[*:3]-[*:4]-[*:5]",
    ))  # fmt: skip


def _change(mol: Any, chance: random.Random) -> str:
    there = {atom.GetSymbol() for atom in mol.GetAtoms()} & set(ELEMENTS)
    if not there:
        return _append(mol, chance)
    weights = (0.15, 0.15, 0.14, 0.14, 0.14, 0.14, 0.14)
    old = chance.choice(sorted(there))
    new = old
    while new == old:
        new = chance.choices(ELEMENTS, weights)[0]
    return f"[#{NUMBERS[old]}:1]>>[{new}:1]"


def _append(mol: Any, chance: random.Random) -> str:
    bond = chance.choices(("-", "=", "#"), (0.6, 0.35, 0.05))[0]
    elements = {"-": ELEMENTS, "=": ("C", "N", "O"), "#": ("C", "N")}[bond]
    free = {"-": "[*;!H0:1]", "=": "[*;!H0;!H1:1]", "#": "[*;H3:1]"}[bond]
    return f"{free}>>[*:1]{bond}{chance.choice(elements)}"


def _run(reaction: str, mols: Any) -> Any:
    try:
        return _reaction(reaction).RunReactants(mols)
    except (ValueError, RuntimeError):
        return ()


def _clean(mol: Any) -> Any:
    """Sanitised and read again, whole; None where it is no molecule."""
    try:
        smiles = Chem.MolToSmiles(mol)
    except RuntimeError:
        return None
    return None if "." in smiles or "*" in smiles else Chem.MolFromSmiles(smiles)


def _fits(mol: Any, chance: random.Random) -> bool:
    """Neither tiny nor huge, and without the rings that crossing makes and no one wants."""
    if not 5 < mol.GetNumAtoms() < chance.gauss(SIZE, SPREAD):
        return False
    rings = mol.GetRingInfo().AtomRings()
    if any(len(ring) > 6 for ring in rings):
        return False
    return not mol.HasSubstructMatch(_query("[R]=[R]=[R]")) and not mol.HasSubstructMatch(
        _query("[r3,r4]=[r3,r4]")
    )


@cache
def _query(smarts: str) -> Any:
    return Chem.MolFromSmarts(smarts)


@cache
def _reaction(smarts: str) -> Any:
    return ReactionFromSmarts(smarts)
