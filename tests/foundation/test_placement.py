"""Devices and dtypes that are there."""

import pytest

from foundation.errors import PlacementError
from foundation.placement import place
from foundation.placement.device import Device
from foundation.precision import fastest


def test_the_cpu_is_always_there() -> None:
    made = place("cpu", "float32")
    assert (made.device, made.dtype, made.threads) == ("cpu", "float32", None)
    assert place({"name": "cpu", "device": "cpu", "threads": 2}).threads == 2


def test_the_models_dtype_holds_unless_another_is_asked_for() -> None:
    yaml = {"name": "cpu", "device": "cpu", "dtype": "auto"}
    assert place(yaml, "float32").dtype == "float32"
    assert place({**yaml, "dtype": "bfloat16"}, "float32").dtype == "bfloat16"
    assert place(yaml).dtype == "auto"


def test_auto_is_a_device_that_is_there() -> None:
    import torch

    assert place("auto").device == ("cuda:0" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("tpu", "placement=tpu: one of auto, cpu, cuda"),
        ("cuda:x", "placement=cuda:x: one of"),
        ("cuda:99", "this machine has"),
        ({"name": "cpu", "dtype": "float8"}, "placement.dtype=float8: one of"),
        ({"name": "cpu", "threads": 0}, "placement.threads must be a whole number"),
        ({"name": "cpu", "threads": "two"}, "placement.threads must be a whole number"),
    ],
)
def test_what_is_not_there_is_refused(wanted, words) -> None:
    with pytest.raises(PlacementError, match=words):
        place(wanted)


def test_the_fastest_dtype_is_one_that_models_take() -> None:
    assert fastest("cpu") in ("float32", "bfloat16")
    assert fastest("mps") == "float32"


def test_the_measured_dtype_is_kept_for_this_machine(tmp_path, monkeypatch) -> None:
    import json

    monkeypatch.setenv("FOUNDATION_CACHE", str(tmp_path))
    fastest.cache_clear()
    first = fastest("cpu")
    path = tmp_path / "precision.json"
    kept = json.loads(path.read_text())
    assert kept["fastest"] == first
    other = "float32" if first == "bfloat16" else "bfloat16"
    path.write_text(json.dumps({**kept, "fastest": other}))
    fastest.cache_clear()
    assert fastest("cpu") == other  # read, not measured again
    path.write_text(json.dumps({**kept, "machine": {}, "fastest": other}))
    fastest.cache_clear()
    assert fastest("cpu") in ("float32", "bfloat16")
    assert json.loads(path.read_text())["machine"] == kept["machine"]
    path.write_text("{")
    fastest.cache_clear()
    assert fastest("cpu") in ("float32", "bfloat16")
    fastest.cache_clear()


class Box:
    """Two GPUs, the second not to be used."""

    def devices(self) -> list[Device]:
        cards = [
            Device(f"cuda:{n}", f"GPU-{n}", "cuda", "", 10, 10, usable=n < 2) for n in range(3)
        ]
        return [*cards, Device("cpu", "cpu", "cpu", "", 10, 10)]


def test_layers_may_be_spread_over_devices_that_are_there() -> None:
    made = place("cuda:1,0", machine=Box())
    assert (made.device, made.devices) == ("cuda:1", ("cuda:1", "cuda:0"))
    assert place("cuda:1", machine=Box()).devices == ()
    for wanted, words in {
        "cuda:0,7": "this machine has cuda:0, cuda:1, cuda:2",
        "cuda:1,1": "names a device twice",
        "cuda:2": "computing is switched off on cuda:2",
        "mps": "this machine has no Apple GPU",
    }.items():
        with pytest.raises(PlacementError, match=words):
            place(wanted, machine=Box())


def test_a_lease_names_its_device_later_and_settings_are_read() -> None:
    made = place({"device": "lease", "memory": "20GB", "timeout": 5, "offload": "host"})
    assert (made.device, made.memory, made.timeout) == ("lease", 20 * 10**9, 5.0)
    for wrong in ({"offload": "moon"}, {"timeout": -1}, {"timeout": "soon"}, {"memory": 0}):
        with pytest.raises(PlacementError):
            place({"device": "cpu", **wrong})
