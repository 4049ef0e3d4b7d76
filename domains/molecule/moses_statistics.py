"""The statistics of the sets that MOSES compares with, computed once and kept on disk."""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foundation.domains.molecule.chemnet import ChemNet, moments
from foundation.domains.molecule.moses import PROPERTIES, Described, describe, read_smiles
from foundation.durable import replacing
from foundation.errors import SourceError

log = logging.getLogger(__name__)
# Raised when what is kept, or how it is computed, changes.
_FORMAT = 1


@dataclass(frozen=True)
class Statistics:
    """What the distances between two sets are computed from.

    fingerprints: [molecules, 128], see Described; mean: [512] and covariance: [512, 512] of
    ChemNet's activations; properties: name -> [molecules]; fragments and scaffolds: occurrences.
    """

    fingerprints: NDArray[np.uint8]
    fragments: Mapping[str, int]
    scaffolds: Mapping[str, int]
    properties: Mapping[str, NDArray[np.float64]]
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


def statistics(found: Described, net: ChemNet, batch: int = 64) -> Statistics:
    """Of molecules already described; ChemNet takes about 2 ms a molecule and core."""
    mean, covariance = moments(net.activations(found.smiles, batch))
    return Statistics(
        fingerprints=found.fingerprints,
        fragments=found.fragments,
        scaffolds=found.scaffolds,
        properties=dict(zip(PROPERTIES, found.properties, strict=True)),
        mean=mean,
        covariance=covariance,
    )


def reference_statistics(
    path: Path, chemnet: Path, cache: Path, *, processes: int = 1, batch: int = 64
) -> Statistics:
    """The statistics of the set at `path`, read from the folder `cache` if they are there.

    Else they are computed, which takes in the order of ten minutes of one core for each MOSES set,
    and kept there under a name that holds the digest of set and weights and the version of RDKit.

    Raises:
        SourceError: an input or a kept file cannot be read.
    """
    smiles = list(read_smiles(path))
    kept = cache / f"moses-{_digest(smiles, chemnet)}-rdkit{_rdkit_version()}.safetensors"
    if not kept.exists():
        log.info("computing the statistics of %d molecules in %s, once", len(smiles), path)
        found = statistics(describe(smiles, processes=processes), ChemNet.load(chemnet), batch)
        _write(kept, found)
    return _read(kept)


def _digest(smiles: list[str], chemnet: Path) -> str:
    """Of the molecules, not of the file: packed or plain, it is the same set."""
    digest = hashlib.sha256(f"{_FORMAT}\n".encode())
    digest.update("\n".join(smiles).encode())
    digest.update(chemnet.read_bytes())
    return digest.hexdigest()[:16]


def _rdkit_version() -> str:
    from rdkit import rdBase

    return rdBase.rdkitVersion


def _write(path: Path, found: Statistics) -> None:
    from safetensors.numpy import save_file

    arrays: dict[str, NDArray[Any]] = {
        "fingerprints": found.fingerprints,
        "mean": found.mean,
        "covariance": found.covariance,
        **{name: np.ascontiguousarray(values) for name, values in found.properties.items()},
    }
    counts = {"fragments": found.fragments, "scaffolds": found.scaffolds}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        save_file(arrays, part, {name: json.dumps(value) for name, value in counts.items()})


def _read(path: Path) -> Statistics:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as kept:
            counts = {name: json.loads(value) for name, value in kept.metadata().items()}
            arrays = {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        raise SourceError(f"{path} is damaged ({error}): delete it to compute it again") from error
    return Statistics(
        fingerprints=arrays["fingerprints"],
        fragments=Counter(counts["fragments"]),
        scaffolds=Counter(counts["scaffolds"]),
        properties={name: arrays[name] for name in PROPERTIES},
        mean=arrays["mean"],
        covariance=arrays["covariance"],
    )
