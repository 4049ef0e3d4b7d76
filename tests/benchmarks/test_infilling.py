"""The corpus of the small infilling model holds what it may, and its baselines fill one line."""

from pathlib import Path

import pytest

from benchmarks.quality import infilling
from benchmarks.quality.infilling_corpus import corpus, grams, hole, permissive, pieces

PROBLEM = (
    "def total_length(words):\n    found = 0\n    for word in words:\n        found += len(word)\n"
)


def package(folder: Path, name: str, licence: str, **files: str) -> None:
    told = folder / f"{name}-1.0.dist-info"
    told.mkdir(parents=True)
    (told / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{licence}\n"
    )
    record = []
    for file, text in files.items():
        path = folder / name / f"{file}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        record.append(f"{name}/{file}.py,,")
    (told / "RECORD").write_text("\n".join(record))


def module(letter: str) -> str:
    lines = (f"def {letter}{n}(x):\n    return x * {n} + {ord(letter) * n}\n" for n in range(20))
    return "\n".join(lines)


def test_only_permissive_packages_are_read_and_no_copies_nor_problems(tmp_path: Path) -> None:
    good = {"a": module("a"), "copy": f"{module('a')}\n# x\n", "leak": module("b") + PROBLEM}
    package(tmp_path, "good", "License: MIT", **good, **{"_vendor/c": module("c")})
    package(tmp_path, "bad", "License: GPL-3.0", d=module("d"))
    package(tmp_path, "silent", "Summary: no licence", e=module("e"))
    files, told = corpus([tmp_path], set(grams(PROBLEM)))
    assert [file["path"] for file in files] == ["good/a.py"]
    assert told["packages"] == {"good": {"version": "1.0", "licence": ["MIT"], "files": 1}}
    assert told["refused"] == {"bad": "GPL-3.0", "silent": "no licence told"}
    assert told["files_left_out"] == {
        "a near duplicate": 1, "13 tokens of HumanEval": 1, "another's code": 1
    }  # fmt: skip


@pytest.mark.parametrize(
    ("licences", "expected"),
    [
        (["BSD-3-Clause", "MIT"], True),
        (["Apache Software License"], True),
        (["MPL-2.0", "MIT"], False),
        (["LGPL-3.0"], False),
        ([], False),
    ],
)
def test_every_licence_must_be_permissive(licences: list[str], expected: bool) -> None:
    assert permissive(licences) is expected


def test_a_hole_is_one_line_of_code_and_a_file_is_its_pieces() -> None:
    text = f'"""Prose\nof a module."""\n{module("a")}'
    file = {"text": text, "path": "a.py", "package": "good"}
    for where in (0.0, 0.3, 0.99):
        found = hole(file, where)
        assert found is not None
        assert found["text"] + found["completion"] + found["suffix"] == text
        assert found["completion"].count("\n") == 1
        assert "Prose" not in found["completion"]
    assert "".join(piece["text"] for piece in pieces({**file, "text": module("a") * 9})) in (
        module("a") * 9
    )


def test_the_line_with_the_most_similar_neighbours_is_taken() -> None:
    code = {
        "text": "a = read(one)\nclose(one)\nprint(a)\nb = read(two)\n",
        "completion": "close(two)\n",
        "suffix": "print(b)\n",
    }
    (line,) = infilling.similar([code], Path())
    assert line == "close(one)\n"
    assert infilling.similar([{**code, "text": "", "suffix": ""}], Path()) == [""]


def test_sides_are_compared_hole_by_hole() -> None:
    holes = [{"completion": f"    x = {n}\n"} for n in range(4)]
    right, wrong = [f"x = {n}" for n in range(4)], ["", "", "", ""]
    found = infilling.compared(holes, {"small": right, "left": wrong, "similar": right})
    assert found["small"]["exact"]["mean"] == 1
    assert found["small - left"]["exact"]["low"] == 1
    assert found["small - similar"]["similarity"]["mean"] == 0
