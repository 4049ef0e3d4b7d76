"""What the MOSES benchmark looks at in each molecule.

Polykovskiy et al., "Molecular Sets (MOSES)" (2020), and the package molsets 0.3.1.
"""

import csv
import functools
import gzip
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foundation.domains.molecule import descriptors
from foundation.errors import FoundationError, SourceError
from foundation.worker import Workers

if TYPE_CHECKING:
    from rdkit.Chem import Mol
    from rdkit.Chem.FilterCatalog import FilterCatalog

PROPERTIES = ("logP", "SA", "QED", "weight")
DESCRIBED = ("logp", "sa", "qed", "weight")  # as the descriptors name them
_ALLOWED = frozenset({"C", "N", "S", "O", "F", "Cl", "Br", "H"})
_LARGEST_RING = 7
_SCAFFOLD_RINGS = 2
_CHUNK = 100


@dataclass(frozen=True)
class MosesData:
    """Local paths: the sets (a CSV with the one column SMILES, plain or .gz), both tables of
    alerts, ChemNet's weights, and the folder where the statistics of the sets are kept.
    """

    train: Path
    test: Path
    test_scaffolds: Path
    mcf: Path
    pains: Path
    chemnet: Path
    cache: Path


@dataclass(frozen=True)
class Described:
    """The molecules among some strings, less those that RDKit cannot read, or cannot read back
    from their own canonical SMILES (on these, 1 in 10,000 of random edits, molsets stops).

    smiles: canonical, in the order given, repeats kept. fingerprints: [molecules, 128], Morgan
    bits of radius 2, 1024 packed by eight. properties: [4, molecules], logP, SA (1 easy to 10
    hard), QED (0..1) and weight (g/mol). fragments, scaffolds: how often each occurs. passed:
    [molecules], who passes the filters; empty when they were not asked for.
    """

    smiles: list[str]
    fingerprints: NDArray[np.uint8]
    properties: NDArray[np.float64]
    fragments: Counter[str]
    scaffolds: Counter[str]
    passed: NDArray[np.bool_]


def read_smiles(path: Path) -> Iterator[str]:
    """The strings of one of the MOSES sets, in order.

    Raises:
        SourceError: it is missing, damaged or no table of the one column SMILES.
    """
    try:
        opener: Any = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="ascii") as lines:
            if next(lines, "").strip() != "SMILES":
                raise SourceError(f"{path} is no MOSES set: its first line is not 'SMILES'")
            yield from filter(None, (line.strip() for line in lines))
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} cannot be read as a MOSES set: {error}") from error


def describe(
    strings: Sequence[str], alerts: tuple[Path, Path] | None = None, processes: int = 1
) -> Described:
    """Read every string once and compute all that MOSES asks of it, the filters if `alerts`
    names the files of MCF and PAINS. About 1.5 ms a molecule and core, twice that with the filters.
    """
    chunks = [strings[at : at + _CHUNK] for at in range(0, len(strings), _CHUNK)]
    if processes == 1:
        return _joined(describe_chunks(chunks, alerts))
    workers = Workers(f"{__name__}:describe_chunks", (alerts,), processes, _died)
    try:
        answers = [workers.submit([chunk]) for chunk in chunks]
        return _joined([part for answer in answers for part in answer.result()])
    finally:
        workers.close()


def describe_chunks(
    chunks: Sequence[Sequence[str]], alerts: tuple[Path, Path] | None
) -> list[Described]:
    """`describe` for each of some lists of strings."""
    return [_describe(chunk, alerts) for chunk in chunks]


def _died(reason: str) -> Described:
    raise FoundationError(reason)


def _joined(parts: Sequence[Described]) -> Described:
    parts = parts or [_describe([])]
    return Described(
        smiles=[smiles for part in parts for smiles in part.smiles],
        fingerprints=np.concatenate([part.fingerprints for part in parts]),
        properties=np.concatenate([part.properties for part in parts], axis=1),
        fragments=_total([part.fragments for part in parts]),
        scaffolds=_total([part.scaffolds for part in parts]),
        passed=np.concatenate([part.passed for part in parts]),
    )


def _total(counts: Sequence[Counter[str]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return total


def _describe(strings: Sequence[str], alerts: tuple[Path, Path] | None = None) -> Described:
    from rdkit import Chem, rdBase
    from rdkit.Chem import rdFingerprintGenerator

    morgan = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024)
    with rdBase.BlockLogs():
        read = [canonical for canonical in map(_canonical, strings) if canonical]
        # As in molsets, what is measured is the molecule that the canonical SMILES gives back.
        pairs = [(smiles, Chem.MolFromSmiles(smiles)) for smiles in read]
        pairs = [(smiles, molecule) for smiles, molecule in pairs if molecule is not None]
        found = [molecule for _, molecule in pairs]
        bits = [np.packbits(morgan.GetFingerprintAsNumPy(molecule)) for molecule in found]
        described = [descriptors.describe(molecule, DESCRIBED) for molecule in found]
        properties = [[row[name] for name in DESCRIBED] for row in described]
        scaffolds = (_scaffold(molecule) for molecule in found)
        catalog = _catalog(*alerts) if alerts else None
        passed = [_passes(molecule, catalog) for molecule in found] if catalog else []
        return Described(
            smiles=[smiles for smiles, _ in pairs],
            fingerprints=np.array(bits, dtype=np.uint8).reshape(-1, 128),
            properties=np.array(properties, dtype=float).reshape(-1, len(PROPERTIES)).T,
            fragments=Counter(part for molecule in found for part in _fragments(molecule)),
            scaffolds=Counter(scaffold for scaffold in scaffolds if scaffold),
            passed=np.array(passed, dtype=np.bool_),
        )


def _canonical(text: str) -> str | None:
    """None for what RDKit cannot read; empty for blanks, read as a molecule without atoms."""
    from rdkit import Chem

    molecule = Chem.MolFromSmiles(text)
    return None if molecule is None else Chem.MolToSmiles(molecule)


def _fragments(molecule: "Mol") -> list[str]:
    """The pieces left when every BRICS bond is cut (Degen et al. 2008)."""
    from rdkit import Chem

    return Chem.MolToSmiles(Chem.FragmentOnBRICSBonds(molecule)).split(".")


def _scaffold(molecule: "Mol") -> str | None:
    """The Bemis-Murcko scaffold, if it has at least two rings."""
    from rdkit import Chem
    from rdkit.Chem.Scaffolds import MurckoScaffold

    try:
        scaffold = MurckoScaffold.GetScaffoldForMol(molecule)
    except (ValueError, RuntimeError):
        return None
    rings: int = scaffold.GetRingInfo().NumRings()
    return Chem.MolToSmiles(scaffold) if rings >= _SCAFFOLD_RINGS else None


def _passes(molecule: "Mol", catalog: "FilterCatalog") -> bool:
    """No ring of eight or more, no charge, none but the allowed elements, no alert."""
    from rdkit import Chem

    if any(len(ring) > _LARGEST_RING for ring in molecule.GetRingInfo().AtomRings()):
        return False
    for atom in molecule.GetAtoms():
        if atom.GetFormalCharge() or atom.GetSymbol() not in _ALLOWED:
            return False
    # The alerts name hydrogens as atoms.
    if catalog.HasMatch(Chem.AddHs(molecule)):
        return False
    flat = Chem.MolToSmiles(molecule, isomericSmiles=False)
    return Chem.MolFromSmiles(flat) is not None


@functools.cache
def _catalog(mcf: Path, pains: Path) -> "FilterCatalog":
    from rdkit.Chem import FilterCatalog as catalogs

    with mcf.open(newline="", encoding="utf-8") as rows:
        smarts = [row["smarts"] for row in csv.DictReader(rows)]
    with pains.open(newline="", encoding="utf-8") as rows:
        smarts += [row[0].strip() for row in csv.reader(rows)]
    catalog = catalogs.FilterCatalog()
    for number, pattern in enumerate(smarts):
        matcher = catalogs.SmartsMatcher(str(number), pattern)
        catalog.AddEntry(catalogs.FilterCatalogEntry(str(number), matcher))
    return catalog
