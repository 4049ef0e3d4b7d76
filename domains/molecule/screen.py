"""Which of many substructure queries can match a molecule at all?

A query that matches maps its atoms and bonds one to one onto atoms and bonds of the molecule, so
the molecule must have at least as many of each sort as the query asks for. Counting typed atoms
and bonds rules out all but some 3 % of the alerts at a fraction of the price of matching them,
and rules out none that matches: whatever is not understood in a query counts as "any".
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache, reduce
from operator import and_, or_
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rdkit.Chem import Mol

# An atom's kind is 4 * atomic number + 2 * aromatic + marked (it has a charge or an isotope);
# a set of kinds is the bits of an int.
_KINDS = 4 * 128
ANY_ATOM = (1 << _KINDS) - 1
_AROMATIC = sum(0b11 << kind for kind in range(2, _KINDS, 4))
_MARKED = sum(1 << kind for kind in range(1, _KINDS, 2))
# A bond's order is one of these, or "other"; a set of orders is the bits of an int.
_ORDERS = {1.0: 0, 1.5: 1, 2.0: 2, 3.0: 3}
_OTHER, _ATOM = 4, 7  # _ATOM stands for the order in the code of a single atom
ANY_BOND = (1 << 5) - 1
_QUERY_ORDERS = {"1": 1 << 0, "12": 1 << 1, "2": 1 << 2, "3": 1 << 3}  # by Chem.BondType
# Beyond this the matrix of bonds costs more than it saves.
_LARGE = 400

BondSort = tuple[int, int, int]  # kinds of the two ends, orders


class Screen:
    """`queries[i]` may be None: a query of unknown structure, which is always a candidate."""

    def __init__(self, queries: Sequence["Mol | None"]) -> None:
        import numpy as np

        atoms = [Counter(_atom_sorts(query)) for query in queries]
        bonds = [Counter(_bond_sorts(query)) for query in queries]
        self._atom_sorts = sorted(set().union(*atoms))
        self._bond_sorts = sorted(set().union(*bonds))
        self._required = np.vstack(
            [
                _required(atoms, self._atom_sorts, _within),
                _required(bonds, self._bond_sorts, _bond_within),
            ]
        )
        self._everything = np.arange(len(queries))
        self._rows: dict[int, int] = {}
        self._has = np.zeros((0, len(self._required)), np.int16)

    def candidates(self, molecule: "Mol") -> "NDArray[np.intp]":
        """Ascending indices of the queries that are not ruled out."""
        import numpy as np

        codes = _codes(molecule)
        if codes is None:
            return self._everything
        try:
            rows = [self._rows[code] for code in codes]
        except KeyError:
            rows = [self._row(code) for code in codes]
        counts = self._has[rows].sum(axis=0, dtype=np.int16)[:, None]
        return np.flatnonzero((self._required <= counts).all(axis=0))

    def _row(self, code: int) -> int:
        """The row of `_has` for an atom or a bond: one column per sort that it belongs to."""
        import numpy as np

        if code not in self._rows:
            a, b, order = code // (8 * _KINDS), code // 8 % _KINDS, code % 8
            if order == _ATOM:
                row = [sort >> a & 1 for sort in self._atom_sorts] + [0] * len(self._bond_sorts)
            else:
                bond = (1 << a, 1 << b, 1 << order)
                row = [0] * len(self._atom_sorts)
                row += [_bond_within(bond, sort) for sort in self._bond_sorts]
            self._rows[code] = len(self._has)
            self._has = np.vstack([self._has, np.array(row, np.int16)])
        return self._rows[code]


def _codes(molecule: "Mol") -> list[int] | None:
    """(a * kinds + b) * 8 + order of every atom and bond; None when that cannot be told cheaply."""
    import numpy as np
    from rdkit.Chem import Atom, GetAdjacencyMatrix

    if not 0 < molecule.GetNumAtoms() <= _LARGE:
        return None
    atoms = list(molecule.GetAtoms())
    kinds = 4 * np.array(list(map(Atom.GetAtomicNum, atoms)))
    kinds += 2 * np.array(list(map(Atom.GetIsAromatic, atoms)))
    marks = np.array([list(map(Atom.GetFormalCharge, atoms)), list(map(Atom.GetIsotope, atoms))])
    kinds += marks.any(axis=0)
    # RDKit caches the matrix by this prefix, and otherwise whatever its kind.
    orders = GetAdjacencyMatrix(molecule, True, 0, False, "BondOrder")
    begin, end = np.nonzero(np.triu(orders))
    if len(begin) != molecule.GetNumBonds():
        return None  # bonds of order zero are not in the matrix
    left, right = kinds[begin], kinds[end]
    ends = np.minimum(left, right) * _KINDS + np.maximum(left, right)
    bonds: list[int] = (ends * 8).tolist()
    values: list[float] = orders[begin, end].tolist()
    codes: list[int] = (kinds * (8 * _KINDS) + _ATOM).tolist()
    codes += [code + _ORDERS.get(value, _OTHER) for code, value in zip(bonds, values, strict=True)]
    return codes


Sort = TypeVar("Sort", int, BondSort)


def _required(
    counts: "Sequence[Counter[Sort]]", sorts: "list[Sort]", within: "Callable[[Sort, Sort], bool]"
) -> "NDArray[np.int16]":
    """(sorts, queries): how many atoms or bonds of each sort a query cannot do without."""
    import numpy as np

    own = np.array([[count[sort] for sort in sorts] for count in counts], np.int16)
    subset = np.array([[within(a, b) for b in sorts] for a in sorts], np.int16)
    shape = len(counts), len(sorts)  # also when there are none
    return np.ascontiguousarray((own.reshape(shape) @ subset.reshape(len(sorts), len(sorts))).T)


def _within(a: int, b: int) -> bool:
    return not a & ~b


def _bond_within(a: BondSort, b: BondSort) -> bool:
    straight = _within(a[0], b[0]) and _within(a[1], b[1])
    crossed = _within(a[0], b[1]) and _within(a[1], b[0])
    return (straight or crossed) and _within(a[2], b[2])


def _atom_sorts(query: "Mol | None") -> Iterator[int]:
    for atom in query.GetAtoms() if query else ():
        yield _read(atom.DescribeQuery(), _atom_leaf, ANY_ATOM)


def _bond_sorts(query: "Mol | None") -> Iterator[BondSort]:
    for bond in query.GetBonds() if query else ():
        ends = (bond.GetBeginAtom(), bond.GetEndAtom())
        a, b = sorted(_read(atom.DescribeQuery(), _atom_leaf, ANY_ATOM) for atom in ends)
        yield a, b, _read(bond.DescribeQuery(), _bond_leaf, ANY_BOND)


@cache
def _read(description: str, leaf: "Callable[[str], int]", anything: int) -> int:
    """The set that a query's description, an indented tree, allows at most."""
    lines = [line for line in description.splitlines() if line.strip()]

    def node() -> int:
        line = lines.pop(0)
        depth, inside = _depth(line), []
        while lines and _depth(lines[0]) > depth:
            inside.append(node())
        if not inside:
            return leaf(line.strip())
        if line.strip() in ("AtomAnd", "BondAnd"):
            return reduce(and_, inside)
        if line.strip() in ("AtomOr", "BondOr"):
            return reduce(or_, inside)
        return anything  # a negated or exclusive group

    return node() if lines else anything


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def _atom_leaf(text: str) -> int:
    name, _, rest = text.partition(" ")
    value, _, relation = rest.partition(" ")
    if relation not in ("= val", "!= val"):
        return ANY_ATOM
    number = int(value)
    if name == "AtomAtomicNum":
        kinds = 0b1111 << 4 * number
    elif name == "AtomType":  # aromatic ones are shifted by 1000
        kinds = 0b11 << (4 * (number % 1000) + 2 * (number // 1000))
    elif name in ("AtomIsAromatic", "AtomIsAliphatic"):
        kinds = _AROMATIC if (name == "AtomIsAromatic") == bool(number) else ANY_ATOM & ~_AROMATIC
    elif name in ("AtomFormalCharge", "AtomIsotope") and (number == 0) == (relation == "!= val"):
        return _MARKED
    else:
        return ANY_ATOM
    return kinds if relation == "= val" else ANY_ATOM & ~kinds


def _bond_leaf(text: str) -> int:
    if text == "SingleOrAromaticBond 1 = val":
        return _QUERY_ORDERS["1"] | _QUERY_ORDERS["12"]
    name, _, rest = text.partition(" ")
    value, _, relation = rest.partition(" ")
    # "not single" stays "any": a dative bond too counts 1 in the matrix of bonds.
    if name == "BondOrder" and relation == "= val":
        return _QUERY_ORDERS.get(value, ANY_BOND)
    return ANY_BOND
