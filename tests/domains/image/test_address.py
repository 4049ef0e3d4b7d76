"""Pictures of a worker that has not the run's folder."""

from collections.abc import Callable
from pathlib import Path

from foundation import registry
from foundation.engines import Work
from foundation.engines.actor import Actor
from foundation.mirror import Mirror
from foundation.model import Model
from foundation.requests import Packet, settings


def test_an_actor_brings_its_pictures_to_the_address(
    tiny: Callable[..., Model], tmp_path: Path
) -> None:
    model = tiny("sd")
    items = list(settings(registry.domain("image"), "generate", {"prompts": ["a", "b"]}).requests())
    address = f"file://{tmp_path}/far"
    work = Work("generate", None, 2, 0, tmp_path / "gone", checkers=0, output=address)
    actor = Actor(model.spec, model.placement, work)
    orders: list[Packet] = [list(items)]
    made = []
    while True:
        messages, orders = actor.exchange(orders), []
        for kind, value in messages:
            assert kind != "failed", value
            orders += [[]] if kind == "more" else []
            made += value if kind == "made" else []
            if kind == "idle":
                names = sorted(result.output for result in made)
                assert names == ["images/000000.png", "images/000001.png"]
                mirror = Mirror(address)
                assert sorted(mirror.names()) == names
                mirror.fetch(tmp_path / "driver")
                assert (tmp_path / "driver" / names[0]).read_bytes()[:4] == b"\x89PNG"
                return


def test_an_actor_without_an_address_says_what_is_missing(
    tiny: Callable[..., Model], tmp_path: Path
) -> None:
    model = tiny("sd")
    work = Work("generate", None, 2, 0, tmp_path / "gone", checkers=0)
    ((kind, error),) = Actor(model.spec, model.placement, work).exchange([])
    assert kind == "failed"
    assert "choose a folder all share, or engine.output=" in str(error)
