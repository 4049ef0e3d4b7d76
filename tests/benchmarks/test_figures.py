import json
import re

import pytest

from benchmarks.record import RESULTS, ROOT
from benchmarks.suite import charts, figures, page, readme
from benchmarks.suite.cases import case
from foundation.errors import InputError


def _rows(tmp_path, record, *shown):
    (tmp_path / "x.json").write_text(json.dumps(record))
    made = case("x", {"title": "x", "script": "none", "shown": list(shown)})
    return figures.rows(made, tmp_path)


def _ratio(low, middle, high):
    bounds = {"ratio": middle, "low": low, "high": high, "median": middle}
    return {"pairs": 5, "smallest": 1.1, **bounds}


def test_the_readme_says_what_the_records_say():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text == readme.filled(text), "run: python -m benchmarks 'write=[page,readme]'"


def test_a_figure_that_differs_from_its_record_is_put_right():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    wrong = re.sub(r"(\| MOSES, valid \| )[\d.]+", r"\g<1>0.999", text)
    assert wrong != text
    assert readme.filled(wrong) == text


def test_a_readme_without_marks_is_refused():
    with pytest.raises(InputError, match="lacks the lines"):
        readme.filled("no figures here")


@pytest.mark.parametrize(
    ("bounds", "wanted", "word", "lost"),
    [
        ((4.0, 5.0, 6.0), {"claim": 3}, "reached", False),
        ((2.0, 2.5, 2.9), {"claim": 3}, "missed", True),
        ((2.0, 3.0, 4.0), {"claim": 3}, "cannot tell whether least", False),
        ((1.03, 1.04, 1.05), {"at_most": 1.02}, "missed", True),
        ((1.0, 1.01, 1.015), {"at_most": 1.02}, "reached", False),
        ((0.5, 0.6, 0.7), {}, "ours takes more", True),
        ((1.2, 1.3, 1.4), {}, "ours takes less", False),
        ((0.995, 1.0, 1.005), {}, "the same", False),
        ((0.9, 1.0, 1.1), {}, "cannot tell", False),
    ],
)
def test_a_ratio_is_held_against_its_target(tmp_path, bounds, wanted, word, lost):
    (row,) = _rows(tmp_path, {"ratio": _ratio(*bounds)}, {"what": "w", "ratio": "ratio", **wanted})
    assert (row.verdict.word, row.lost) == (word, lost)


def test_a_disturbed_ratio_has_no_number(tmp_path):
    told = {"wall: a/b": "wall: a/b: cannot tell: others disturbed all but 1 of 6 pairs"}
    record = {"ratios": {"wall: a/b": _ratio(2, 3, 4)}, "answers": told}
    (row,) = _rows(tmp_path, record, {"what": "w", "ratio": "ratios > wall: a/b"})
    assert (row.verdict.word, row.ratio, row.interval) == ("cannot tell", "", None)


@pytest.mark.parametrize(
    ("other", "better", "word"),
    [
        ({"mean": 0.5, "low": 0.4, "high": 0.6}, "high", "ours is better"),
        ({"mean": 0.5, "low": 0.4, "high": 0.6}, "low", "ours is worse"),
        ({"mean": 0.95, "low": 0.93, "high": 0.97}, "high", "ours is worse"),
        ({"mean": 0.78, "low": 0.70, "high": 0.84}, "high", "cannot tell"),
    ],
)
def test_a_metric_is_held_against_its_baseline(tmp_path, other, better, word):
    record = {"ours": {"mean": 0.8, "interval": [0.75, 0.85]}, "base": other}
    shown = {"what": "w", "metric": "ours", "better": better, "beside": {"base": "base"}}
    (row,) = _rows(tmp_path, record, shown)
    assert row.ours == "0.800 (0.750 to 0.850)"
    assert row.beside[0].verdict.word == word


def test_two_numbers_without_intervals_cannot_be_told_apart(tmp_path):
    shown = {"what": "w", "metric": "ours", "beside": {"base": "base"}}
    (row,) = _rows(tmp_path, {"ours": {"mean": 0.9}, "base": {"mean": 0.8}}, shown)
    assert row.beside[0].verdict.word == "cannot tell"


def test_a_paired_gain_decides_where_there_is_one(tmp_path):
    wide = {"mean": 0.5, "low": 0.1, "high": 0.9}
    record = {"ours": wide, "base": wide, "gain": {"mean": 0.02, "low": 0.01, "high": 0.03}}
    shown = {"what": "w", "metric": "ours", "beside": {"base": {"value": "base", "gain": "gain"}}}
    (row,) = _rows(tmp_path, record, shown)
    assert row.beside[0].verdict.word == "ours is better"


def test_a_fact_that_does_not_hold_is_lost(tmp_path):
    shown = {"what": "w", "fact": "{{ record.lost }} lost", "holds": "record.lost == 0"}
    (row,) = _rows(tmp_path, {"lost": 3}, shown)
    assert (row.ours, row.verdict.word, row.lost) == ("3 lost", "missed", True)


def test_a_path_that_is_not_in_the_record_is_named(tmp_path):
    with pytest.raises(KeyError, match="a > b"):
        _rows(tmp_path, {"a": {}}, {"what": "w", "ratio": "a > b"})


@pytest.fixture(scope="module")
def made():
    return page.text(RESULTS)


def test_the_page_has_every_domain_and_says_where_ours_loses(made):
    found = page.contents(RESULTS)
    assert {row.domain for row in found["rows"]} == set(page.DOMAINS)
    assert found["lost"]
    section = made.split('id="lost"')[1].split("</section>")[0]
    for row in found["lost"]:
        assert f"#record-{row.record}" in section
    assert section.count('role="row"') == len(found["lost"]) + 1


def test_a_models_quality_stands_right_below_its_speed(tmp_path):
    record = {"ratio": _ratio(2, 3, 4), "score": {"mean": 0.5, "low": 0.4, "high": 0.6}}
    found = _rows(
        tmp_path, record,
        {"what": "quality", "metric": "score", "model": "code/a"},
        {"what": "loop", "ratio": "ratio"},
        {"what": "alone", "ratio": "ratio", "model": "code/b"},
        {"what": "speed", "ratio": "ratio", "model": "code/a"},
    )  # fmt: skip
    groups = list(page._models(found))
    assert [[row.what for row in group.rows] for group in groups] == [
        ["speed", "quality"], ["alone"], ["loop"],
    ]  # fmt: skip
    assert [group.lacks for group in groups] == ["", "quality", ""]


def test_every_ratio_and_metric_stands_in_the_table_by_model(made):
    table = made.split('id="models"')[1].split("</section>")[0].split("<tbody")[1]
    wanted = [row for row in page.contents(RESULTS)["rows"] if row.kind in page.LABELS]
    assert table.count('scope="row"') == len(wanted)


def test_the_page_needs_nothing_from_elsewhere(made):
    assert "<script" not in made
    assert not re.findall(r'(?:src|href)="(?!data:|#|[a-z0-9_]+\.json)', made)
    assert "url(http" not in made
    assert len(made.encode()) < 1_000_000


def test_charts_take_the_colour_of_the_page(made):
    assert made.count('<svg role="img"') >= 1
    assert charts.INK not in made


def test_the_page_is_the_same_each_time(made):
    assert page.text(RESULTS) == made
