"""--help and task=models answer at once, and say all there is."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from foundation import arguments, completion
from foundation.cli import main
from foundation.groups import OWN, groups
from foundation.help import text
from foundation.requests import RUN_LEVEL

HEAVY = ("hydra", "omegaconf", "torch", "rdkit", "pyarrow", "numpy", "transformers", "rich")
# Their settings are those of the YAML that was chosen; the help says so in one line each.
ANY = ("model", "recipe", "objective", "suite", "engine")


def test_help_names_every_group_and_choice() -> None:
    for group, names in groups().items():
        line = next(line for line in text().splitlines() if line.startswith(f"  {group} "))
        assert line
        for name in names:
            assert name in text()


def test_help_names_every_setting() -> None:
    own = [*arguments.settings(Path(OWN)), *(f"task.{n}" for n in RUN_LEVEL if n != "name")]
    for setting in [*own, *completion.SETTINGS, "suite.limit", "model.path"]:
        group = setting.partition(".")[0]
        assert f"  {setting}=" in text() or (group in ANY and f"  {group}.<name>=" in text())


@pytest.mark.parametrize("words", [["--help"], ["-h", "task=nonsense"], ["--completion", "bash"]])
def test_static_answers_import_nothing(words: list[str]) -> None:
    assert _imported(words, (*HEAVY, "yaml", "importlib.metadata")) == []


def test_models_imports_no_model_code() -> None:
    assert _imported(["task=models"], HEAVY) == []


def test_models_lists_what_each_is_and_needs(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["task=models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["model", "tasks", "parameters", "licence", "source", "needs"]
    row = next(line for line in lines if line.startswith("toy/words"))
    assert row[lines[0].index("licence") :].startswith("MIT")
    assert any(line.startswith("molecule/starter") for line in lines)


def test_models_explains_one_model(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["task=models", "model=toy/words"]) == 0
    out = capsys.readouterr().out
    assert "task.letters=5" in out
    assert "task.count=20" in out
    assert "how many follow, 1 to 50" in out
    assert main(["task=models", "model=toy/wrds"]) == 2
    assert "did you mean 'toy/words'?" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        expected = version("foundation-toolkit")
    except PackageNotFoundError:
        pytest.skip("the package is not installed")
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"foundation {expected}\n"


def _imported(words: list[str], names: tuple[str, ...]) -> list[str]:
    code = (
        "import sys; from foundation.cli import main\n"
        f"assert main({words!r}) == 0\n"
        f"print(*[name for name in {names!r} if name in sys.modules], file=sys.stderr)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    return done.stderr.split()


def test_a_model_whose_weights_are_not_here_needs_training() -> None:
    from foundation.commands.models import _needs
    from foundation.spec import ModelSpec

    def needs(source: str) -> str:
        return _needs(ModelSpec("toy/words", "toy", "toy:Words", source))

    assert needs("embedded:foundation/untrained").startswith("training (task=tune)")
    assert needs("embedded:foundation/testing") == "nothing"
