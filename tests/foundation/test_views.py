"""What a terminal shows of results, and the model a notebook's cell gets when it runs again."""

import gc
import weakref

import pyarrow as pa

import foundation as fm
from foundation.views import text


def test_a_terminal_shows_the_first_rows_and_no_escapes(double) -> None:
    results = double().generate(starts=["x", "?", "y" * 80], count=8, letters=3)
    results.finish()
    lines = repr(results).splitlines()
    assert lines[0].startswith("<ResultSet: ")
    assert len(lines) == 1 + 10 + 1
    assert lines[1].split() == ["0", "x", results.table()["output"][0].as_py()]
    assert "(start is '?'" in lines[9]
    assert lines[-1] == "and 14 more"
    assert all(len(line) < 110 for line in lines[1:])
    bad = {"id": [0], "input": ["\x1b[2J"], "output": ["one\ntwo"], "reason": [None]}
    assert text(pa.table(bad)) == "0  \ufffd[2J  one two"


def test_a_model_is_loaded_once_for_one_name_and_placement_and_let_go(toy) -> None:
    model = fm.load("toy/words", placement="cpu")
    assert fm.load("toy/words", placement="cpu") is model
    assert fm.load("toy/words", placement={"name": "cpu", "threads": 1}) is not model
    model.close()
    assert fm.load("toy/words", placement="cpu").generate(count=2).finish().made == 2
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
