"""What is measured about generated molecules: the MOSES benchmark.

Polykovskiy et al., "Molecular Sets (MOSES): A Benchmarking Platform for Molecular Generation
Models" (2020), as computed by the package molsets 0.3.1; benchmarks/results/moses_reference.md
compares the two.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
from scipy.stats import wasserstein_distance

from foundation.domains.molecule.chemnet import ChemNet, frechet_distance
from foundation.domains.molecule.moses import PROPERTIES, MosesData, describe, read_smiles
from foundation.domains.molecule.moses_statistics import (
    Statistics,
    reference_statistics,
    statistics,
)
from foundation.domains.molecule.similarity import internal_diversity, nearest

UNIQUE_AT = (1_000, 10_000)
DISTANCES = ("FCD", "SNN", "Frag", "Scaf")
SETS = ("Test", "TestSF")
MEASURES = (
    "valid",
    *(f"unique@{k}" for k in UNIQUE_AT),
    "novelty",
    "IntDiv",
    "IntDiv2",
    "Filters",
    *(f"{distance}/{name}" for distance in DISTANCES for name in SETS),
    *PROPERTIES,
)


def moses(
    samples: Sequence[str], data: MosesData, *, processes: int = 1, batch: int = 64
) -> dict[str, float]:
    """All measures of MOSES, by the names in MEASURES, for the raw samples of one seed.

    samples: SMILES as the model made them, 30,000 in the paper, never filtered; strings that
        cannot be read lower `valid` and leave the rest to the others.
    processes: run RDKit's part; torch uses as many threads as it is set to. batch: of ChemNet.

    valid, unique@k (of the first k valid samples, or of all if there are fewer), novelty (of the
    distinct valid ones, against the strings of the whole training set), IntDiv, IntDiv2, Filters,
    SNN, Frag and Scaf are in 0..1, higher being better. FCD from 0 and logP, SA, QED and weight,
    the Wasserstein distances to Test in the property's own unit, are better when lower. What the
    samples are too few for (FCD needs two valid ones, Scaf one scaffold) is NaN.

    Raises:
        SourceError: a file of `data` cannot be read.
        ValueError: there are no samples.
    """
    if not samples:
        raise ValueError("no samples to measure")
    references = [
        reference_statistics(path, data.chemnet, data.cache, processes=processes, batch=batch)
        for path in (data.test, data.test_scaffolds)
    ]
    found = describe(samples, (data.mcf, data.pains), processes)
    if not found.smiles:
        return {**dict.fromkeys(MEASURES, math.nan), "valid": 0.0}
    own = statistics(found, ChemNet.load(data.chemnet), batch)
    diversity, diversity2 = internal_diversity(found.fingerprints)
    values = {
        "valid": len(found.smiles) / len(samples),
        **{f"unique@{k}": _distinct(found.smiles[:k]) for k in UNIQUE_AT},
        "novelty": _novelty(found.smiles, data.train),
        "IntDiv": diversity,
        "IntDiv2": diversity2,
        "Filters": float(found.passed.mean()),
    }
    for name, reference in zip(SETS, references, strict=True):
        for distance, value in _compare(own, reference).items():
            values[f"{distance}/{name}"] = value
    for name in PROPERTIES:
        test = references[0].properties[name]
        values[name] = float(wasserstein_distance(own.properties[name], test))
    return {name: values[name] for name in MEASURES}


def spread(runs: Sequence[Mapping[str, float]]) -> dict[str, dict[str, Any]]:
    """Each measure over the seeds: its mean, its sample standard deviation and its values.

    The deviation of a single seed is NaN.
    """
    found = {}
    for name in runs[0]:
        values = [run[name] for run in runs]
        deviation = stdev(values) if len(values) > 1 else math.nan
        found[name] = {"mean": fmean(values), "std": deviation, "values": values}
    return found


def _compare(own: Statistics, reference: Statistics) -> dict[str, float]:
    return {
        "FCD": frechet_distance(own.mean, own.covariance, reference.mean, reference.covariance),
        "SNN": float(nearest(own.fingerprints, reference.fingerprints).mean()),
        "Frag": _cosine(own.fragments, reference.fragments),
        "Scaf": _cosine(own.scaffolds, reference.scaffolds),
    }


def _distinct(smiles: Sequence[str]) -> float:
    return len(set(smiles)) / len(smiles)


def _novelty(smiles: Sequence[str], train: Path) -> float:
    """Against the training strings as they are written: 1 in 10,000 is canonical no longer."""
    distinct = set(smiles)
    unseen = distinct.difference(read_smiles(train))
    return len(unseen) / len(distinct)


def _cosine(counts: Mapping[str, int], others: Mapping[str, int]) -> float:
    """Of two vectors of counts, one dimension a name, in 0..1; NaN if one is empty."""
    if not counts or not others:
        return math.nan
    product = sum(count * others.get(name, 0) for name, count in counts.items())
    lengths = [np.linalg.norm(list(each.values())) for each in (counts, others)]
    return product / float(lengths[0] * lengths[1])
