"""Configuration that somebody sends cannot run code: not by YAML, not by a run folder."""

import json
from pathlib import Path

import pytest

from foundation.cli import main
from foundation.errors import InputError
from foundation.registry import configured
from foundation.trust.configs import check_folder

TOUCH = "_target_: os.system\ncommand: touch {out}\n"
CALLBACK = "hydra:\n  callbacks:\n    a: {{_target_: subprocess.call, args: ['touch {out}']}}\n"
MODEL = (
    "name: toy/bad\ndomain: toy\nadapter: {adapter}\nsource: embedded:toy/conf\ntasks: [generate]\n"
)
BAD = {
    "model/toy/bad.yaml": "# @package _global_\n" + CALLBACK + "model: {{name: toy/bad}}\n",
    "suite/bad.yaml": "name: letters\ndeep: [{{x: {{_target_: os.system, command: touch}}}}]\n",
    "trust/bad.yaml": "defaults:\n  - override /hydra/job_logging: mine\nname: screens\n",
    "hydra/callbacks/bad.yaml": TOUCH,
    "hydra/launcher/bad.yaml": TOUCH,
    "hydra/job_logging/bad.yaml": "formatters: {{a: {{'()': os.system}}}}\n",
    "engine/bad.yaml": "# @package hydra.callbacks.a\n" + TOUCH,
    "recipe/bad.yaml": "name: !!python/object/apply:os.system ['touch {out}']\n",
}


@pytest.mark.parametrize("name", BAD)
def test_an_added_folder_runs_nothing(name, toy: Path, capsys) -> None:
    path = toy / "conf" / name
    path.parent.mkdir(parents=True)
    path.write_text(BAD[name].format(out=toy / "out"))
    group = name.partition("/")[0]
    choice = {"model": "model=toy/bad", "hydra": "task=generate"}.get(group, f"{group}=bad")
    assert main(["-cd", "conf", "model=toy/words", choice]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert name.rpartition("/")[2] in line
    assert not (toy / "out").exists()


def test_an_adapter_lies_in_a_domain_s_package(toy: Path, capsys) -> None:
    (toy / "conf" / "model" / "toy").mkdir(parents=True)
    for adapter in ("os:abort", "subprocess:Popen", "antigravity:x", "foundation", "."):
        text = MODEL.format(adapter=adapter)
        (toy / "conf" / "model" / "toy" / "bad.yaml").write_text("# @package model\n" + text)
        assert main(["-cd", "conf", "model=toy/bad"]) == 2
        assert "is no module:name of a domain's package" in capsys.readouterr().err
    with pytest.raises(InputError):
        configured("os:system")


def test_a_run_folder_remembers_no_settings_of_hydra(toy: Path, capsys) -> None:
    (toy / "run").mkdir()
    for words in (
        [f"hydra.callbacks={{a: {{_target_: os.system, command: 'touch {toy / 'out'}'}}}}"],
        ["+hydra.job_logging.formatters.a={'()': os.system}"],
        ["model=toy/words", "++task.x={_target_: os.system}"],
        ["hydra/launcher=bad"],
        [7],
    ):
        (toy / "run" / "overrides.json").write_text(json.dumps(words))
        assert main(["resume=run"]) == 2
        assert "could run code" in capsys.readouterr().err
    for text in ("", "{}", "null", "[" * 3000):
        (toy / "run" / "overrides.json").write_text(text)
        assert main(["resume=run"]) == 2
    assert not (toy / "out").exists()


def test_what_people_write_is_let_through(tmp_path: Path) -> None:
    good = {
        "model/a/b.yaml": "# @package model\nname: a/b\n",
        "hydra/launcher/mine.yaml": "defaults: [submitit_slurm]\npartition: gpu\n",
        "hydra/launcher/own.yaml": "_target_: hydra_plugins.x.launcher.Launcher\n",
        "suite/empty.yaml": "",
        "notes.txt": "_target_: os.system",
    }
    for name, text in good.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    check_folder(tmp_path)


def test_a_bomb_of_aliases_is_walked_once(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40)]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines))
    check_folder(tmp_path)
