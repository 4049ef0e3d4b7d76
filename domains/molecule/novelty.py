"""Is a molecule one of the training set? A Bloom filter of canonical SMILES answers.

    python -m foundation.domains.molecule.novelty train.csv train.bloom.safetensors

A molecule of the set is always found; another is taken for one of the set with the probability
`rate` the filter was built for. Canonical means: as this RDKit's MolToSmiles writes it.
"""

import csv
import hashlib
import math
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from foundation.errors import SourceError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TRAINING_SET = Path(__file__).parent / "starter" / "train.bloom.safetensors"
KEY = "canonical SMILES"


@dataclass(frozen=True)
class BloomFilter:
    """A set of strings in `ceil(bits / 8)` bytes; `facts` is what the file says of its origin.

    Positions by enhanced double hashing of a 16-byte BLAKE2b digest (Dillinger and Manolios,
    "Bloom Filters in Probabilistic Verification", 2004).
    """

    table: "NDArray[np.uint8]"
    bits: int
    hashes: int
    n: int
    facts: dict[str, str] = field(default_factory=dict)

    @classmethod
    def build(cls, items: Iterable[str], capacity: int, rate: float = 1e-4) -> "BloomFilter":
        """`capacity` distinct strings give false positives at `rate`, 0 < rate < 1."""
        import numpy as np

        if capacity < 1 or not 0 < rate < 1:
            raise ValueError(f"capacity {capacity} must be >= 1 and rate {rate} between 0 and 1")
        bits = math.ceil(-capacity * math.log(rate) / math.log(2) ** 2)
        hashes = max(1, round(bits / capacity * math.log(2)))
        table = np.zeros(math.ceil(bits / 8), np.uint8)
        n, stream = 0, iter(items)
        while batch := list(islice(stream, 65_536)):
            where = _positions(batch, bits, hashes)
            np.bitwise_or.at(table, where >> 3, np.uint8(1) << (where & 7).astype(np.uint8))
            n += len(batch)
        return cls(table, bits, hashes, n)

    def contains(self, items: Sequence[str]) -> "NDArray[np.bool_]":
        """One answer per item: False is certain, True is wrong at the filter's rate."""
        where = _positions(items, self.bits, self.hashes)
        found: NDArray[np.bool_] = ((self.table[where >> 3] >> (where & 7)) & 1).all(axis=1)
        return found

    def save(self, path: Path, **facts: str) -> None:
        """Write one safetensors file; `facts` go into its metadata."""
        from safetensors.numpy import save

        shape = {"bits": str(self.bits), "hashes": str(self.hashes), "n": str(self.n)}
        data = save({"table": self.table}, metadata={**self.facts, **facts, **shape})
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> "BloomFilter":
        """Raises SourceError when the file is missing, truncated or no such filter."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), framework="numpy") as file:
                facts = dict(file.metadata() or {})
                table = file.get_tensor("table")
            bits, hashes, n = (int(facts.pop(name)) for name in ("bits", "hashes", "n"))
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            mend = "build it with python -m foundation.domains.molecule.novelty"
            raise SourceError(f"cannot read the Bloom filter {path}: {error}; {mend}") from error
        if table.size != math.ceil(bits / 8):
            raise SourceError(f"the Bloom filter {path} has {table.size} bytes for {bits} bits")
        return cls(table, bits, hashes, n, facts)


def _positions(items: Sequence[str], bits: int, hashes: int) -> "NDArray[np.uint64]":
    import numpy as np

    digests = b"".join(hashlib.blake2b(item.encode(), digest_size=16).digest() for item in items)
    pairs = np.frombuffer(digests, "<u8").reshape(-1, 2)
    i = np.arange(hashes, dtype=np.uint64)
    where: NDArray[np.uint64] = (pairs[:, :1] + i * pairs[:, 1:] + (i**3 - i) // 6) % bits
    return where


@lru_cache(maxsize=4)
def known_molecules(path: Path) -> BloomFilter | None:
    """The filter at `path`, or None when there is none or this RDKit writes SMILES otherwise.

    Another RDKit may canonicalise differently; then known molecules would pass for novel, so
    the probes kept in the file (some of its own molecules) must all be found first.
    """
    import rdkit

    if not path.is_file():
        return None
    known = BloomFilter.load(path)
    if known.facts.get("rdkit") != rdkit.__version__:
        probes = list(canonical(known.facts.get("probes", "").split()))
        if not known.contains(probes).all():
            return None
    return known


def canonical(smiles: Iterable[str]) -> Iterator[str]:
    """Canonical SMILES of those that can be read."""
    from rdkit import Chem

    for text in smiles:
        molecule = Chem.MolFromSmiles(text)
        if molecule is not None:
            yield Chem.MolToSmiles(molecule)


def read_column(path: Path, column: str = "SMILES") -> Iterator[str]:
    """One column of a CSV with a header line."""
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield row[column]


def main(arguments: Sequence[str] | None = None) -> None:
    """Build the filter of a CSV's SMILES column."""
    import rdkit

    source, target = map(Path, sys.argv[1:] if arguments is None else arguments)
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    count = sum(1 for _ in read_column(source))
    probes = " ".join(islice(read_column(source), 0, None, max(1, count // 100)))
    known = BloomFilter.build(canonical(read_column(source)), count)
    known.save(target, key=KEY, rdkit=rdkit.__version__, source=digest, probes=probes)
    print(f"{known.n} molecules, {known.table.nbytes} bytes, {known.hashes} hashes: {target}")


if __name__ == "__main__":
    main()
