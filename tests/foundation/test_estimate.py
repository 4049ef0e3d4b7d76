"""What is told before anything is loaded: that it fits, what it would take, how long it takes."""

import importlib.util
import json
import os
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation import registry
from foundation.adapter import Cost, Placement
from foundation.arguments import prepare
from foundation.cli import main
from foundation.errors import PlacementError
from foundation.hub.facts import config, described
from foundation.placement import calibration
from foundation.placement.devices import Described
from foundation.placement.estimate import estimate, largest_batch
from foundation.placement.geometry import geometry
from foundation.placement.plan import plan
from foundation.requests import Item
from foundation.spec import ModelSpec

GB = 10**9


class Costly:
    """A model of 2 GB of weights in float32, 1 GB a row."""

    @classmethod
    def cost(cls, spec: ModelSpec, request: Any = None) -> Cost:
        half = 2 if spec.dtype == "bfloat16" else 1
        return Cost(weights=2 * GB // half, memory=GB // half, fixed=GB // 10, work=1e9)


SPEC = ModelSpec("toy/costly", "toy", "", "path:/there/is/no/such/folder", parameters=GB // 2)
ITEMS = [Item(n, "x") for n in range(10)]


def planned(has: float, rows: int = 8, **asked: Any) -> Any:
    machine = Described("cpu", int(has * GB))
    return plan(SPEC, Costly, "generate", ITEMS, rows, Placement("cpu", **asked), machine)


def test_a_run_begins_with_the_largest_batch_that_fits() -> None:
    assert planned(20).rows == 8
    assert planned(6.2).rows == 4
    assert planned(3.1).rows == 1
    assert planned(20, memory=5 * GB).rows == 2


def test_what_cannot_fit_is_refused_with_what_would() -> None:
    with pytest.raises(PlacementError) as caught:
        planned(2)
    words = str(caught.value)
    assert "needs 3.1 GB in float32" in words
    assert "placement.dtype=bfloat16 task.batch=1: 1.6 GB" in words
    with pytest.raises(PlacementError, match=r"a device with 1\.6 GB, batch 1"):
        planned(0.5)
    assert planned(0.5, offload="disk").rows == 8  # asked for: its weights are not there


def test_a_plan_is_told_in_one_line() -> None:
    line = planned(6.2).line
    assert line == "toy/costly on cpu in float32, batch 4, about 6.1 GB of 6.2 GB"


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 200),
       st.integers(1, 64), st.none() | st.integers(0, 99))  # fmt: skip
def test_the_largest_batch_is_the_largest(weights, fixed, memory, room, most, cap) -> None:
    cost = Cost(weights=weights, fixed=fixed, memory=memory, most=cap)
    found = largest_batch(cost, room, most)
    assert found == max((n for n in range(1, most + 1) if cost.peak(n) <= room), default=0)


def told(memory: float, kind: str = "cuda", rows: int = 8) -> Any:
    device = Described(kind, int(memory * GB)).devices()[0]
    placement = Placement(device.name, "float32")
    return estimate(SPEC, Costly, "generate", ITEMS, rows, placement, device, "this machine")


def test_an_estimate_counts_all_that_a_device_holds() -> None:
    made = told(80)
    assert made.fits
    assert made.advice == ()
    assert made.peak == 2 * GB + GB // 10 + 8 * GB + GB // 2  # CUDA itself takes half a GB
    assert made.disk is None
    assert made.host > 2 * GB
    assert not told(3).fits
    assert told(3).advice == ("placement.dtype=bfloat16 task.batch=2: 2.6 GB",)


def test_offloading_and_fewer_bits_are_told_where_nothing_less_helps() -> None:
    class Heavy(Costly):
        @classmethod
        def cost(cls, spec: ModelSpec, request: Any = None) -> Cost:
            return Cost(weights=16 * GB, memory=GB // 10)

    device = Described("cuda", 10 * GB).devices()[0]
    spec = replace(SPEC, parameters=8 * GB)
    made = estimate(spec, Heavy, "generate", ITEMS, 4, Placement("cuda:0", "bfloat16"), device)
    assert [words.partition(":")[0] for words in made.advice] == [
        "placement.offload=host task.batch=1",
        "a model quantised to 4 bits",
        "a device with 16.6 GB, batch 1",
    ]


def test_time_is_known_from_runs_here_and_guessed_from_other_models(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("FOUNDATION_CACHE", str(tmp_path))
    assert told(80).seconds is None
    calibration.keep("this machine", "toy/other", "generate", "cuda", "float32", 8, 2e9, 100, 50.0)
    guess = told(80)
    assert guess.seconds == pytest.approx(250)
    assert "rough guess" in guess.basis
    calibration.keep("this machine", SPEC.name, "generate", "cuda", "float32", 4, 1e9, 100, 10.0)
    assert told(80).seconds == pytest.approx(100)
    calibration.keep("this machine", SPEC.name, "generate", "cuda", "float32", 8, 1e9, 100, 20.0)
    assert told(80).seconds == pytest.approx(200)
    calibration.keep("this machine", SPEC.name, "generate", "cuda", "float32", 8, 1e9, 3, 999.0)
    assert told(80).seconds == pytest.approx(200)  # three results tell nothing
    for path in (tmp_path / "calibration").iterdir():
        path.write_text("{")
    assert told(80).seconds is None


def test_a_run_here_is_remembered(double, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("FOUNDATION_CACHE", str(tmp_path))
    double(delay=0.01).generate(count=40).finish()
    (kept,) = (tmp_path / "calibration").iterdir()
    values = json.loads(kept.read_text())
    assert values["model"] == "double/whole"
    assert values["seconds"] > 0


def safetensors(path: Path, **shapes: list[int]) -> None:
    header = {
        name: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}
        for name, shape in shapes.items()
    }
    data = json.dumps(header | {"__metadata__": {"format": "pt"}}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(data)) + data)


def test_facts_are_read_from_headers_alone(tmp_path) -> None:
    safetensors(tmp_path / "unet/model.safetensors", a=[3, 4], b=[5])
    safetensors(tmp_path / "vae/model.safetensors", a=[2])
    (tmp_path / "unet/config.json").write_text('{"width": 3}')
    (tmp_path / "config.json").write_text("{")
    spec = described(ModelSpec("a/b", "a", "", f"path:{tmp_path}"))
    assert spec.parameters == 19
    assert config(spec, "unet") == {"width": 3}
    assert config(spec) == {}
    assert spec.facts["here"]


def test_a_model_that_is_not_here_is_known_by_its_yaml() -> None:
    spec = registry.spec("image/flux-dev")
    assert described(spec, network=False).parameters == spec.parameters
    assert described(spec, network=False).facts == {}


ASK = """
import json
from foundation.hub.facts import config, described
from foundation.spec import ModelSpec
spec = described(ModelSpec("a/b", "a", "", "hub:some/model", revision="1" * 40))
print(json.dumps([spec.parameters, config(spec), spec.facts["bytes"], spec.facts["here"]]))
"""


def test_the_hub_tells_a_model_by_its_headers(tmp_path) -> None:
    there = importlib.util.spec_from_file_location("hub", Path(__file__).parent / "hub_server.py")
    assert there
    assert there.loader
    server = sys.modules["hub"] = importlib.util.module_from_spec(there)
    there.loader.exec_module(server)
    safetensors(tmp_path / "model.safetensors", a=[1000, 7])
    weights = (tmp_path / "model.safetensors").read_bytes() + b"\0" * 28000
    with server.serving() as hub:
        files = {"config.json": b'{"n_layer": 2}', "model.safetensors": weights}
        hub.repos["some/model"] = server.Repo(files)
        url = f"http://127.0.0.1:{hub.server_port}"
        asked = subprocess.run(
            [sys.executable, "-c", ASK], capture_output=True, text=True,
            env={**os.environ, "HF_ENDPOINT": url, "HF_HOME": str(tmp_path / "hf"),
                 "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
    assert json.loads(asked.stdout) == [7000, {"n_layer": 2}, len(weights) + 14, False]


def test_the_shape_of_a_transformer_is_read_whatever_its_names() -> None:
    llama = geometry({"num_hidden_layers": 30, "hidden_size": 576, "num_attention_heads": 9,
                      "num_key_value_heads": 3, "intermediate_size": 1536, "vocab_size": 49152,
                      "head_dim": 64})  # fmt: skip
    assert llama is not None
    assert llama.cache(64, 2) == 2 * 30 * 3 * 64 * 64 * 2
    assert llama.cache(65, 2) == 2 * llama.cache(64, 2)
    gpt2 = geometry({"n_layer": 12, "n_embd": 768, "n_head": 12, "vocab_size": 50257})
    assert gpt2 is not None
    assert (gpt2.key_heads, gpt2.head, gpt2.hidden) == (12, 64, 3072)
    assert geometry({"block_out_channels": [1]}) is None


def test_a_card_that_is_not_here_is_described_by_its_memory(tmp_path, capsys) -> None:
    words = ["task=estimate", "model=image/sdxl", "placement=cuda", f"hydra.run.dir={tmp_path}"]
    assert main([*words, "placement.memory=80GB"]) == 0
    out = capsys.readouterr().out
    assert "image/sdxl fits cuda:0" in out
    values = json.loads((tmp_path / "estimate.json").read_text())
    assert values["dtype"] == "bfloat16"
    assert values["room"] == 80 * GB
    assert 6 * GB < values["peak"] < 20 * GB


def test_an_estimate_is_had_in_python() -> None:
    import foundation as fm

    made = fm.estimate("image/sdxl", placement={"device": "cuda", "memory": "80GB"}, prompt="a dog")
    assert made.fits
    assert made.room == 80 * GB
    assert fm.estimate("molecule/starter", "embed", placement="cpu", smiles=["CCO"]).task == "embed"


def test_no_card_and_no_memory_told_is_refused_in_a_line(tmp_path, capsys) -> None:
    words = ["task=estimate", "model=image/sdxl", "placement=cuda:3", f"hydra.run.dir={tmp_path}"]
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "tell its memory: placement.memory=80GB" in line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["task.of=paint"], "task.of=paint: molecule/starter can generate, embed"),
        (["task.of=tune"], "needs a recipe"),
        (["task.price=cheap"], "task.price must be what an hour costs"),
        (["placement.memory=much"], "placement.memory must be an amount"),
        (["placement=cuda:x"], "placement=cuda:x: one of auto, cpu, cuda"),
    ],
)
def test_what_cannot_be_estimated_is_told_in_a_line(words, said, tmp_path, capsys) -> None:
    assert main(["task=estimate", "placement=cpu", f"hydra.run.dir={tmp_path}", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_devices_and_leases_are_told_without_hydra(capsys, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("FOUNDATION_LEASES", str(tmp_path))
    assert main(["task=devices", "task.json=true"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["devices"][-1]["kind"] == "cpu"
    assert values["cpu"]["gain"] > 0
    assert main(["task=leases"]) == 0
    assert "no leases and nobody waits" in capsys.readouterr().out
    assert main(["task=leases", "task.colour=red"]) == 2
    assert "unknown setting 'task.colour'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "ready"),
    [
        ("placement=cuda:1", ["placement=cuda", "placement.device='cuda:1'"]),
        ("placement=cuda:0,1", ["placement=cuda", "placement.device='cuda:0,1'"]),
        ("placement=cpu,cuda:1", ["placement=cuda", "placement.device='cpu','cuda:1'"]),
        ("placement=lease", ["placement=lease"]),
    ],
)
def test_several_devices_are_one_placement_and_several_names_a_sweep(typed, ready) -> None:
    groups = {"placement": ["auto", "cpu", "cuda", "lease"]}
    assert prepare([typed], groups) == ready
