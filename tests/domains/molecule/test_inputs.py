import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.domains.molecule.inputs import Generate, Molecule
from foundation.errors import RequestError, UnknownName


@pytest.mark.parametrize("name", ["temperature", "top_p"])
@pytest.mark.parametrize("value", [0, -1, 10.01, float("nan"), float("inf"), "1", True, None])
def test_a_number_out_of_its_range_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(RequestError, match=name):
        Generate(**{name: value})


@given(st.floats(0, 10, exclude_min=True), st.floats(0, 1, exclude_min=True))
def test_numbers_in_their_ranges_are_taken(temperature: float, top_p: float) -> None:
    assert Generate(temperature=temperature, top_p=top_p).temperature == temperature


@pytest.mark.parametrize("attempts", [0, -5, 10_001, 2.5, "3", True])
def test_attempts_out_of_range(attempts: object) -> None:
    with pytest.raises(RequestError, match="attempts"):
        Generate(attempts=attempts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "targets",
    [
        {"logp": 3},
        {"logp": [1]},
        {"logp": [1, 2, 3]},
        {"logp": [3, 1]},
        {"logp": ["low", "high"]},
        {"logp": "13"},
    ],
)
def test_targets_that_are_no_interval(targets: dict[str, object]) -> None:
    with pytest.raises(RequestError, match="logp"):
        Generate(targets=targets)


def test_an_unknown_descriptor_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="logp"):
        Generate(targets={"logpp": [1, 2]})


def test_ends_of_an_interval_may_be_open() -> None:
    assert Generate(targets={"logp": [None, 3], "weight": [100, None]}).targets


def test_empty_smiles_are_refused() -> None:
    with pytest.raises(RequestError, match="scaffold"):
        Generate(scaffold=" ")
    with pytest.raises(RequestError, match="smiles"):
        Molecule("")
