"""Domains and models are found by name, and imported when they are used."""

import os
import subprocess
import sys

import pytest

from foundation import registry
from foundation.errors import InputError, UnknownName
from foundation.hub import ALLOW
from foundation.sources import model_source
from foundation.spec import Delta

GOOD = {
    "name": "a/b",
    "domain": "a",
    "adapter": "foundation.m:C",
    "source": "hub:o/n",
    "revision": "1",
}


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = "torch numpy pyarrow pandas hydra omegaconf transformers rdkit yaml huggingface_hub"
    code = (
        "import sys, foundation, foundation.registry, foundation.spec, foundation.errors\n"
        "import foundation.adapter, foundation.requests, foundation.stream, foundation.worker\n"
        "foundation.registry.domain('molecule'); foundation.registry.models()\n"
        f"print([name for name in {heavy.split()!r} if name in sys.modules])"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("given", "told"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_waiting_threads_let_go_of_their_core(given: dict[str, str], told: str) -> None:
    own = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    env = {**own, "PYTHONPATH": os.pathsep.join(sys.path), **given}
    code = "import os, foundation; print(os.environ.get('GOMP_SPINCOUNT'))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == told


def test_public_names_are_there_and_others_are_not() -> None:
    import foundation

    assert callable(foundation.load)
    with pytest.raises(AttributeError, match="has no attribute 'lod'"):
        _ = foundation.lod


def test_a_package_on_the_path_brings_its_domain(installed) -> None:
    assert registry.domains()["double"] == "foundation.testing.double:DOMAIN"
    assert registry.domain("double").noun == "words"


def test_unknown_names_are_told_with_the_nearest(installed) -> None:
    with pytest.raises(UnknownName, match="did you mean 'double'"):
        registry.domain("duoble")
    with pytest.raises(UnknownName, match="did you mean 'molecule/starter'"):
        registry.spec("molecule/stater")
    with pytest.raises(UnknownName, match=r"did you mean 'model\.revision'"):
        registry.spec_from({**GOOD, "revison": "2"})


def test_every_shipped_model_has_a_whole_spec() -> None:
    for name in registry.models():
        spec = registry.spec(name)
        assert spec.name == name
        domain = registry.domain(spec.domain)
        assert set(spec.tasks) <= set(domain.tasks)
        assert spec.licence != "unknown"
        assert not spec.source.startswith("hub:") or spec.revision


def test_a_path_takes_the_place_of_the_source_and_its_digests() -> None:
    spec = registry.spec_from({**GOOD, "sha256": {"a": "0"}, "path": "/x"})
    assert (spec.source, spec.revision, dict(spec.sha256)) == ("path:/x", None, {})


def test_a_spec_lacks_nothing_it_needs() -> None:
    with pytest.raises(InputError, match=r"model\.adapter is missing"):
        registry.spec_from({k: v for k, v in GOOD.items() if k != "adapter"})
    spec = registry.spec_from({**GOOD, "deltas": [{"path": "p", "scale": 0.5}], "tasks": ["t"]})
    assert spec.deltas == (Delta("p", 0.5),)
    assert spec.tasks == ("t",)


def test_only_the_files_a_yaml_names_are_brought() -> None:
    named = registry.spec_from({**GOOD, "files": ["a.json", "*/b.safetensors"]})
    assert model_source(named).allow == ("a.json", "*/b.safetensors")
    assert model_source(registry.spec_from(GOOD)).allow == ALLOW


def test_what_a_yaml_names_wrongly_is_the_users_to_mend() -> None:
    with pytest.raises(InputError, match=r"no module 'no_such' for 'no_such\.thing:C'"):
        registry.resolve("no_such.thing:C")
    with pytest.raises(UnknownName, match="did you mean 'resolve'"):
        registry.resolve("foundation.registry:resolv")
