"""`suite=moses`: a model's raw samples, measured a seed at a time."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from foundation import hub
from foundation.domains.molecule.metrics import moses, spread
from foundation.domains.molecule.moses import MosesData
from foundation.hub.cache import cache_folder
from foundation.model import Model
from foundation.placement.host import cores
from foundation.sources import source


def run(
    model: Model,
    suite: Mapping[str, Any],
    folder: Path,
    seed: int,
    report: Callable[..., None],
) -> dict[str, dict[str, Any]]:
    """Each measure of MOSES with its mean, spread and values over the suite's seeds.

    `seed` is added to each of the suite's own. The samples of seed n are a run of their own in
    `folder/samples-n`, so that an interrupted measurement goes on where it was.
    """
    data = _data(suite["sources"])
    count = min(suite["samples"], suite.get("limit") or suite["samples"])
    measured = []
    for number, own in enumerate(suite["seeds"]):
        results = model.results(
            "generate",
            {"count": count, "columns": ["parses"]},
            seed=seed + own,
            folder=folder / f"samples-{own}",
        )
        for _ in results:
            report(number * count + len(results.run.done))
        # A molecule that could not be ended is a raw sample too.
        samples = [text or "" for text in results.table()["output"].to_pylist()]
        measured.append(moses(samples, data, processes=cores()))
    return spread(measured)


def _data(sources: Mapping[str, Any]) -> MosesData:
    found = hub.fetch([source(value, f"suite.sources.{name}") for name, value in sources.items()])
    paths = {name: local.path for name, local in zip(sources, found, strict=True)}
    return MosesData(**paths, cache=cache_folder() / "moses")
