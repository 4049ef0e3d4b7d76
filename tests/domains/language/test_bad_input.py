"""What users give by mistake, from the command line: one line, or a row with its reason."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pyarrow import parquet

from foundation.cli import main

Foundation = Callable[..., tuple[int, str]]
LABELS = "task.labels=[x,y]"


@pytest.fixture
def few(tmp_path: Path) -> Path:
    path = tmp_path / "few.csv"
    path.write_text("text,label\naaa,x\naab,x\nzzz,y\nzzy,y\n")
    return path


@pytest.fixture
def spans(tmp_path: Path) -> Path:
    path = tmp_path / "few.jsonl"
    path.write_text('{"text": "go to rome", "spans": [[6, 10, "city"]]}\n')
    return path


@pytest.fixture
def foundation(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Foundation:
    """The command: its exit code and the last line of the screen."""
    monkeypatch.chdir(tmp_path)

    def run(folder: Path, weights: Path, model: str, *words: str) -> tuple[int, str]:
        typed = [
            f"model=language/{model}", f"model.path={weights}", "placement=cpu",
            f"hydra.run.dir={folder / 'run'}", "placement.dtype=float32", *words,
        ]  # fmt: skip
        code = main(typed)
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, (said.err + said.out).strip().splitlines()[-1]

    return run


def rows(folder: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = parquet.read_table(folder / "run/results.parquet").to_pylist()
    return found


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["task=classify", "task.input=binary.csv", LABELS], "is not text in UTF-8"),
        (["task=classify", "task.input=binary.txt", LABELS], "is not text in UTF-8"),
        (["task=classify", "task.input=good.csv", "task.column=txt", LABELS], "unknown column"),
        (["task=classify", "task.input=absent.csv", LABELS], "absent.csv"),
        (["task=classify", "task.input=good.csv", "task.examples=binary.csv"], "not text in UTF-8"),
        (["task=classify", "task.texts=[a]", "task.labels=[x,y,z]", "task.examples=few.csv"],
         "no example of the label 'z'"),
        (["task=classify", "task.texts=[a]", "task.lables=[x,y]"], "did you mean"),
        (["task=classify", "task.texts=['']", LABELS], "text is empty"),
        (["task=tag", "task.texts=[a]"], "tag needs task.examples"),
        (["task=tag", "task.texts=[a]", "task.examples=few.csv"], "has no spans"),
        (["task=tag", "task.texts=[a]", "task.examples=few.jsonl", "task.labels=[river]"],
         "no span of the label 'river'"),
        (["task=tag", "task.texts=[a]", "task.examples=few.jsonl", "task.shots=0"], "shots"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_one_line(
    foundation: Foundation,
    causal_folder: Path,
    few: Path,
    spans: Path,
    tmp_path: Path,
    words: list[str],
    message: str,
) -> None:
    (tmp_path / "binary.csv").write_bytes(b"text,label\n\0\1\2\xff,x\n")
    (tmp_path / "binary.txt").write_bytes(b"\x89PNG\0\0")
    (tmp_path / "good.csv").write_text("text\nfine\n")
    code, line = foundation(tmp_path, causal_folder, "smollm2-135m", *words)
    assert code == 2
    assert message in line


def test_texts_of_no_use_are_rows_with_their_reasons(
    foundation: Foundation,
    causal_folder: Path,
    encoder_folder: Path,
    few: Path,
    spans: Path,
    tmp_path: Path,
) -> None:
    path = tmp_path / "texts.jsonl"
    long = "ab " * 3_400_000
    lines = ['{"text": "aaa"}', '{"text": "\\ud800"}', '{"text": ""}', '{"no": 1}', "[]"]
    path.write_text("\n".join([*lines, '{"text": "' + long + '"}']))
    wanted = {1: "a lone surrogate", 2: "an empty text", 3: "an empty text", 4: "no JSON object"}
    runs = [
        (
            causal_folder,
            "smollm2-135m",
            "classify",
            few,
            "10,200,000 characters, at most 1,000,000",
        ),
        (encoder_folder, "minilm", "tag", spans, "10,200,000 characters, at most 1,000,000"),
        (causal_folder, "smollm2-135m", "tag", spans, "10,200,000 characters, at most 1,000,000"),
    ]
    for number, (weights, model, task, examples, last) in enumerate(runs):
        folder = tmp_path / str(number)
        folder.mkdir()
        code, line = foundation(
            folder, weights, model, f"task={task}", f"task.input={path}",
            f"task.examples={examples}",
        )  # fmt: skip
        assert code == 0
        assert "5 inputs refused" in line
        found = rows(folder)
        assert [row["reason"] is None for row in found] == [True, *[False] * 5]
        for place, reason in {**wanted, 5: last}.items():
            assert reason in str(found[place]["reason"])


def test_a_lone_surrogate_that_was_typed_is_a_row(
    foundation: Foundation, encoder_folder: Path, few: Path, tmp_path: Path
) -> None:
    code, line = foundation(
        tmp_path, encoder_folder, "minilm", "task=classify", f"task.examples={few}",
        b"task.texts=['\xed\xa0\x80',aa]".decode(errors="surrogateescape"),
    )  # fmt: skip
    assert code == 0
    assert "1 input refused" in line
    assert "lone surrogate" in str(rows(tmp_path)[0]["reason"])
