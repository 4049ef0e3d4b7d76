"""A tiny untrained network in the format of the starter, and ways to run requests through it."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from foundation.adapter import Output, Placement
from foundation.draws import Draws
from foundation.spec import ModelSpec

SMILES = [
    "CCO", "CC(=O)Oc1ccccc1C(=O)O", "Cn1cnc2c1c(=O)n(C)c(=O)n2C", "c1ccccc1", "CC(C)Cc1ccccc1",
    "O=C(O)c1ccc(Cl)cc1", "Brc1ccccc1", "c1ccc2[nH]ccc2c1", "CCN(CC)CC", "C#N", "CS(=O)(=O)N",
    "O=C1CCCN1", "c1ccncc1", "FC(F)(F)c1ccccc1", "C1CCNCC1", "OCC1CO1", "CC=CC", "NC(=S)N",
]  # fmt: skip

Runs = Callable[[Any, list[Any]], dict[int, Output]]


@pytest.fixture(scope="session")
def starter_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from foundation.domains.molecule.training import SmilesTraining

    folder = tmp_path_factory.mktemp("starter")
    shape = {"vocabulary": 90, "width": 16, "layers": 2, "dropout": 0.0}
    SmilesTraining.begin(SMILES * 12, shape, 0).save(folder)
    return folder


@pytest.fixture(scope="session")
def starter(starter_folder: Path) -> Any:
    from foundation.domains.molecule.adapter import SmilesGru

    adapter = SmilesGru()
    spec = ModelSpec("molecule/tiny", "molecule", "", f"path:{starter_folder}")
    adapter.load(spec, starter_folder, Placement())
    return adapter


@pytest.fixture(scope="session")
def generated() -> Callable[..., dict[int, Output]]:
    """(adapter, {id: request}, rows) -> {id: output}, with rows that come and go."""

    def run(
        adapter: Any, requests: dict[int, Any], rows: int = 4, seed: int = 0
    ) -> dict[int, Output]:
        slots = adapter.slots("generate", (), rows)
        waiting, free = list(requests.items()), list(range(rows))
        running: dict[int, int] = {}
        outputs: dict[int, Output] = {}
        while waiting or running:
            while waiting and free:
                number, request = waiting.pop(0)
                slot = free.pop()
                running[slot] = number
                slots.insert(slot, request, Draws(seed, [number]))
            for slot, output in slots.step():
                outputs[running.pop(slot)] = output
                free.append(slot)
        return outputs

    return run


@pytest.fixture(scope="session")
def read() -> Callable[..., list[Output]]:
    """(adapter, task, smiles) -> outputs in the order of the SMILES."""

    def run(adapter: Any, task: str, smiles: Iterable[str]) -> list[Output]:
        from foundation.domains.molecule.inputs import Molecule

        batch = [Molecule(text) for text in smiles]
        draws = Draws(0, range(len(batch)))
        return [output for _, output in sorted(adapter.run(task, batch, draws), key=lambda p: p[0])]

    return run
