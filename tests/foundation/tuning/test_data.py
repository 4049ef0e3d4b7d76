"""Data on the disk: what is read back, how it is divided, dealt and compared."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.errors import InputError, UnknownName
from foundation.spec import Tuning
from foundation.tuning import leakage, minhash
from foundation.tuning.data import Wanted, gather, records
from foundation.tuning.folds import deal
from foundation.tuning.leakage import Likeness
from foundation.tuning.rows import TOGETHER, Rows, write

FIELDS = {"text": ("text",), "label": ("label", "kind")}


def read(path, columns):
    return records(path, FIELDS, columns, "texts")


LIKENESSES = (Likeness("the same text", lambda row: row["text"], lambda text: (text,)),)
TUNING = Tuning(
    begin="", read=f"{__name__}:read", fields=("text", "label"), group=None,
    likenesses=f"{__name__}:LIKENESSES",
)  # fmt: skip


@pytest.fixture(autouse=True)
def resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    from foundation.tuning import data

    known = {f"{__name__}:read": read, f"{__name__}:LIKENESSES": LIKENESSES}
    for module in (data, leakage):
        monkeypatch.setattr(module, "resolve", known.__getitem__)


def table(path: Path, count: int) -> str:
    rows = [{"text": f"text {n}", "kind": "ab"[n % 2]} for n in range(count)]
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


@given(st.integers(1, 3 * TOGETHER), st.data())
def test_any_row_is_read_back(tmp_path_factory, count, data) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.arrow"
    rows = [{"text": f"a {n}\n", "label": None if n % 3 else "x"} for n in range(count)]
    write(path, ("text", "label"), iter(rows))
    place = data.draw(st.integers(0, count - 1))
    assert Rows(path)[place] == rows[place]
    assert list(Rows(path)) == rows
    picks = np.array(data.draw(st.lists(st.integers(0, count - 1), min_size=1)))
    assert list(Rows(path, picks)) == [rows[n] for n in picks]
    assert [Rows(path, picks)[n] for n in range(len(picks))] == [rows[n] for n in picks]


def test_a_share_is_measured_on_and_the_division_is_the_same_again(tmp_path) -> None:
    wanted = Wanted(table(tmp_path / "t.jsonl", 600), validation=0.2, seed=4)
    one, other = (gather(TUNING, wanted, tmp_path / name) for name in "ab")
    assert 80 < len(one.held_out) < 160
    assert list(one.held_out) == list(other.held_out)
    assert not {r["text"] for r in one.rows} & {r["text"] for r in one.held_out}


def test_all_tables_of_a_folder_are_read_and_a_wrong_column_is_told(tmp_path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("one", "two"):
        table(tmp_path / "in" / f"{name}.jsonl", 10)
    two = tmp_path / "in" / "two.jsonl"
    two.write_text(two.read_text() + '\n{"no": 1}')
    data = gather(TUNING, Wanted(str(tmp_path / "in"), validation=0.0), tmp_path / "out")
    assert len(data.rows) == 20
    assert data.reasons == ("two.jsonl: record 11: no text",)
    with pytest.raises(InputError, match="no labl"):
        gather(
            TUNING,
            Wanted(str(tmp_path / "in" / "one.jsonl"), columns={"label": "labl"}),
            tmp_path / "other",
        )
    with pytest.raises(UnknownName, match=r"task\.columns\.txt"):
        gather(
            TUNING,
            Wanted(str(tmp_path / "in" / "one.jsonl"), columns={"txt": "text"}),
            tmp_path / "third",
        )


@given(
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from("abc")), min_size=4, max_size=80),
    st.integers(2, 4),
    st.integers(0, 9),
)
def test_folds_part_no_group(rows, folds, seed) -> None:
    groups = [str(group) for group, _ in rows]
    labelled = [{"label": label} for _, label in rows]
    if len(set(groups)) < folds:
        with pytest.raises(InputError, match="folds"):
            deal(labelled, groups, folds, seed)
        return
    found = deal(labelled, groups, folds, seed)
    homes = {group: set() for group in groups}
    for group, fold in zip(groups, found.tolist(), strict=True):
        homes[group].add(fold)
    assert all(len(folds) == 1 for folds in homes.values())
    assert set(found.tolist()) == set(range(folds))


def test_every_fold_has_its_share_of_labels() -> None:
    rows = [{"label": "ab"[n % 10 == 0]} for n in range(100)]
    found = deal(rows, [str(n) for n in range(100)], 5, 0)
    counts = Counter((fold, row["label"]) for fold, row in zip(found.tolist(), rows, strict=True))
    assert {counts[fold, "b"] for fold in range(5)} == {2}


def test_held_out_rows_that_are_trained_on_are_found(tmp_path) -> None:
    whole = table(tmp_path / "t.jsonl", 40)
    held = tmp_path / "h.jsonl"
    held.write_text('{"text": "text 7", "label": "b"}\n{"text": "new", "label": "a"}')
    data = gather(TUNING, Wanted(whole, held_out=str(held)), tmp_path / "data")
    found = leakage.checked(TUNING, data, 0.5, tmp_path)
    assert found[0]["share"] == 0.5
    assert found[0]["examples"] == [{"held_out": 0, "row": 7}]
    with pytest.raises(InputError, match="1 of 2 held-out rows"):
        leakage.checked(TUNING, data, 0.4, tmp_path)


def test_near_duplicates_share_a_band_and_others_are_unlike() -> None:
    text = "How do I find the card that I ordered two weeks ago, it has not arrived yet?"
    near = text.replace("two weeks", "two  Weeks").replace("yet", "here yet")
    one, two, far = map(minhash.signature, (text, near, "What is the exchange rate for dollars?"))
    assert minhash.likeness(one, two) > minhash.NEAR
    assert set(minhash.bands(one)) & set(minhash.bands(two))
    assert minhash.likeness(one, far) < 0.2
    assert minhash.signature("  ") is None
