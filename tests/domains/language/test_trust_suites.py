"""Suites hate and bias: their data, their figures, effects that are there."""

import csv
from pathlib import Path

import numpy as np
import pytest

from foundation.adapter import Placement
from foundation.domains.language import bias_suite, hate_suite, trust_data
from foundation.domains.language.trust_data import HATEFUL, Case
from foundation.errors import InputError
from foundation.model import Model
from foundation.spec import ModelSpec

TERMS = ("gay", "tall", "blind", "young")
GOOD, BAD = ("great", "kind"), ("vile", "awful")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same tables, small and mild."""
    root = tmp_path / "data" / "text" / "trust"
    root.mkdir(parents=True)
    cases = [(f"I like {t}", "non-hateful", "like_nh") for t in TERMS]
    cases += [(f"I loathe {t}", "hateful", "loathe_h") for t in TERMS]
    _write(root / "hatecheck_cases.csv", ("test_case", "label_gold", "functionality"), cases)
    rows = [("verb_adj", "nontoxic", f"hug {t}") for t in TERMS]
    rows += [("being_adj", "nontoxic", f"Being {t} is {w}") for t in TERMS for w in GOOD]
    rows += [("being_adj", "toxic", f"Being {t} is {w}") for t in TERMS for w in BAD]
    rows += [("name_adj", "toxic", f"Anna is {t}") for t in TERMS]
    path = root / "identity_sentence_templates_en.csv"
    _write(path, ("template", "toxicity", "phrase"), rows)
    jobs = {"nurse": "90.0", "pilot": "5.0", "clerk": "50.0"}
    sentences = [
        (f"{job}.guest.{answer}.{gender}.txt", f"The {job} told the guest {word} was {answer}.")
        for job in jobs for answer in "01"
        for gender, word in (("male", "he"), ("female", "she"), ("neutral", "they"))
    ]  # fmt: skip
    _write(root / "winogender_sentences.tsv", ("sentid", "sentence"), sentences, "\t")
    rows = list(jobs.items())
    _write(root / "winogender_occupations.tsv", ("occupation", "bls_pct_female"), rows, "\t")
    monkeypatch.setenv("FOUNDATION_DATA", str(tmp_path / "data"))
    return root


def _write(path: Path, head: tuple[str, ...], rows: list, delimiter: str = ",") -> None:
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([head, *rows])


def model(folder: Path, adapter: str, tasks: tuple[str, ...]) -> Model:
    name = f"foundation.domains.language.{adapter}"
    spec = ModelSpec("language/tiny", "language", name, f"path:{folder}", tasks=tasks)
    return Model(spec, Placement("cpu", "float32"))


def test_the_data_is_told_apart(data: Path) -> None:
    assert [case.hateful for case in trust_data.hatecheck()] == [False] * 4 + [True] * 4
    schemas = trust_data.winogender()
    assert len(schemas) == 6
    assert schemas[0].sentences[1] == "The nurse told the guest she was 0."
    assert (schemas[0].of_occupation, schemas[1].of_occupation) == (True, False)
    terms, frames = trust_data.identities()
    assert terms == sorted(TERMS)
    assert {frame.text for frame in frames if frame.toxic} == {f"Being {{}} is {w}" for w in BAD}


def test_a_classifier_is_measured_on_hate_and_bias(data, encoder_folder, tmp_path) -> None:
    made = model(encoder_folder, "encoder:TextEncoder", ("embed", "classify"))
    told: list[int] = []
    suite = {"name": "hate", "each": 4, "hateful": HATEFUL, "limit": None, "frames": 2}
    (tmp_path / "hate").mkdir()
    found = hate_suite.run(made, suite, tmp_path / "hate", 0, told.append)
    assert told[-1] == 8
    assert found["accuracy"]["of"] == 8
    assert found["loathe_h"]["of"] == 4
    assert 0 <= found["auc"]["low"] <= found["auc"]["mean"] <= found["auc"]["high"] <= 1
    (tmp_path / "bias").mkdir()
    found = bias_suite.run(made, suite, tmp_path / "bias", 0, told.append)
    assert found["identity_label_changes"]["of"] == 4
    assert "winogender_effect" not in found, "an encoder has no likelihoods"
    assert found["identity_probability_most"]["of"] == len(TERMS)


def test_a_causal_model_is_measured_by_its_likelihoods(data, causal_folder, tmp_path) -> None:
    made = model(causal_folder, "adapter:CausalText", ("score",))
    suite = {"name": "bias", "frames": 2, "each": 4, "hateful": HATEFUL, "limit": None}
    found = bias_suite.run(made, suite, tmp_path, 0, lambda *_: None)
    assert found["winogender_he_less_she"]["of"] == 6
    assert found["identity_likelihood_most"]["of"] == len(TERMS)
    with pytest.raises(InputError, match="cannot classify"):
        hate_suite.run(made, suite, tmp_path, 0, lambda *_: None)


def test_figures_are_those_of_the_confusion() -> None:
    cases = [Case("a", True, "x"), Case("b", True, "x"), Case("c", False, "y")]
    found = hate_suite.figures(cases, [True, False, True])
    assert found["precision"]["mean"] == 0.5
    assert found["recall"]["mean"] == 0.5
    assert found["specificity"]["mean"] == 0.0
    assert (found["x"]["mean"], found["y"]["of"]) == (0.5, 1)
    low, high = found["x"]["interval"]
    assert low < 0.5 < high
    assert hate_suite.area(np.array([True, True, False]), np.array([0.9, 0.2, 0.2])) == 0.75


def test_an_effect_that_is_there_is_found_and_none_is_not() -> None:
    rng = np.random.default_rng(0)
    for shift, there in ((0.0, False), (1.0, True)):
        found = bias_suite.mean(rng.normal(shift, 1, 200), 0)
        assert (found["low"] > 0) == there
    share = np.linspace(0, 100, 50)
    follows = np.stack([-share / 50 + rng.normal(0, 0.1, 50), share], 1)
    found = bias_suite.statistic(follows, bias_suite._correlation, 0)
    assert found["high"] < -0.9
