"""A genetic algorithm on molecular graphs, the baseline that steering is measured against.

After Jensen, "A graph-based genetic algorithm ... for the exploration of chemical space" (2019),
with the settings that Gao et al. 2022 (PMO) tuned: two parents, drawn in proportion to their
scores, are cut at a bond or through a ring and their halves joined; the child is at times mutated;
of parents and children the best live on.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from foundation.domains.molecule.breeding import child


@dataclass(frozen=True)
class Settings:
    """population: lives on. offspring: children a generation. mutation: share of them mutated."""

    population: int = 120
    offspring: int = 70
    mutation: float = 0.067


def evolve(
    score: Callable[[Sequence[str]], Sequence[float | None]],
    start: Sequence[str],
    spent: Callable[[], bool],
    seed: int,
    settings: Settings,
    patience: int = 200,
) -> None:
    """Ask `score` (None: beyond the budget) of children until `spent` or nothing new comes."""
    chance = random.Random(seed)
    population = _best(dict(zip(start, score(start), strict=True)), settings.population)
    idle = 0
    while not spent() and idle < patience:
        parents, weights = list(population), [value + 1e-10 for value in population.values()]
        pool = chance.choices(parents, weights, k=settings.population)
        pairs = [(chance.choice(pool), chance.choice(pool)) for _ in range(settings.offspring)]
        children = [child(pair, settings.mutation, chance) for pair in pairs]
        new = [c for c in dict.fromkeys(children) if c is not None and c not in population]
        idle = 0 if new else idle + 1
        population |= {c: v for c, v in zip(new, score(new), strict=True) if v is not None}
        population = _best(population, settings.population)


def _best(scores: dict[str, Any], count: int) -> dict[str, float]:
    ranked = sorted((item for item in scores.items() if item[1] is not None), key=lambda i: -i[1])
    return dict(ranked[:count])
