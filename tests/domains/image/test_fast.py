"""task.speed=fast: another way to the picture, what it costs, and exact as it was before."""

import json

import numpy as np
import pytest

from foundation.domains.image.inputs import Generate
from foundation.draws import Draws
from foundation.errors import InputError, UnknownName

SIDE = {"prx": 64}


def drawn(model, count=1, ids=None, **given):
    size = SIDE.get(model.spec.name.removeprefix("image/"), 32)
    batch = [Generate("a cat", width=size, height=size, **given)] * count
    ids = ids or list(range(count))
    made = dict(model.adapter.run("generate", batch, Draws(5, ids)))
    assert all(output.reason is None for output in made.values()), made
    return [made[row] for row in range(count)]


def far(one, other):
    return np.abs(one.value.astype(int) - other.value).max()


def test_a_step_cache_is_on_in_fast_alone_and_tells_its_cost(tiny):
    model = tiny("flux", options={"steps": 9})
    (exact,) = drawn(model)
    (fast,) = drawn(model, speed="fast")
    assert far(fast, exact) > 1  # steps were skipped
    assert not model.adapter.pipe.transformer.is_cache_enabled
    assert far(drawn(model)[0], exact) <= 1
    (line,) = model.adapter.notes()
    assert "9 steps with the cache taylorseer" in line
    assert "times as fast as exact (9 steps), PSNR" in line
    assert "exact steps in the same time: " in line


@pytest.mark.parametrize("kind", ["taylorseer", "first_block", "mag"])
def test_a_cached_picture_does_not_depend_on_those_beside_it(tiny, kind):
    caches = {
        "taylorseer": {"cache_interval": 2, "disable_cache_before_step": 2},
        "first_block": {"threshold": 0.5},
        "mag": {"mag_ratios": [1.0] * 6, "threshold": 10.0},
    }
    model = tiny("flux", options={"steps": 6, "fast": {"cache": {"kind": kind, **caches[kind]}}})
    given = {"speed": "fast", "compare": 0, "guidance": 9.0}
    together = drawn(model, 2, **given)
    (alone,) = drawn(model, 1, [1], **given)
    assert far(alone, together[1]) <= 1
    assert far(together[0], together[1]) > 1
    assert model.adapter.notes() == []


def test_without_caches_it_takes_half_the_steps_by_a_better_solver(tiny):
    model = tiny("sd", options={"steps": 12})
    (fast,) = drawn(model, speed="fast")
    assert (fast.extra["steps"], fast.extra["scheduler"]) == (6, "dpm++")
    # What stands in the results draws it again.
    again = {name: fast.extra[name] for name in ("steps", "scheduler", "guidance", "image_seed")}
    assert far(drawn(model, ids=[9], speed="fast", **again)[0], fast) <= 1
    assert drawn(model)[0].extra["steps"] == 12


def test_a_distilled_denoiser_draws_fast_and_the_own_one_exactly(tiny, tmp_path):
    first = tiny("prx")
    (exact,) = drawn(first, steps=4)
    other = type(first.adapter.pipe.transformer).from_config(first.adapter.pipe.transformer.config)
    other.save_pretrained(tmp_path / "few")
    how = {"transformer": str(tmp_path / "few"), "steps": 2, "guidance": 1.0}
    model = tiny("prx", options={"steps": 4, "fast": how})
    (fast,) = drawn(model, speed="fast")
    assert (fast.extra["steps"], fast.extra["guidance"]) == (2, 1.0)
    assert far(fast, exact) > 1
    assert far(drawn(model)[0], exact) <= 1
    assert "2 steps of a distilled version" in model.adapter.notes()[0]


def test_wrong_options_of_fast_are_refused_with_what_is_known(tiny):
    for how, error in (
        ({"stepz": 4}, UnknownName),
        ({"scheduler": "eulr"}, UnknownName),
        ({"cache": {"kind": "no"}}, UnknownName),
        ({"quantise": "int2"}, UnknownName),
        ({"cache": {"kind": "taylorseer"}}, InputError),  # a U-Net has none
    ):
        with pytest.raises(error) as caught:
            _ = tiny("sd", options={"fast": how}).adapter
        assert len(str(caught.value).splitlines()) == 1


def test_psnr_and_the_distance_of_features(tmp_path):
    import torch
    from transformers import BitImageProcessor, Dinov2Config, Dinov2Model

    from foundation.domains.image.costs import Costs, dino, psnr

    random = np.random.default_rng(0)
    one = random.integers(0, 250, (2, 32, 32, 3)).astype(np.uint8)
    assert psnr(one, one) == float("inf")
    assert psnr(one + 5, one) == pytest.approx(20 * np.log10(255 / 5))
    torch.manual_seed(0)
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    Dinov2Model(Dinov2Config(**size, image_size=28, patch_size=14)).save_pretrained(tmp_path)
    BitImageProcessor(
        size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}
    ).save_pretrained(tmp_path)
    distance = dino(str(tmp_path), None, "cpu")
    assert distance(one, one) == pytest.approx(0, abs=1e-5)
    assert distance(one, 255 - one) > 1e-3
    line = Costs(2.5, 31.24, 4, float("inf"), 0.0412, 0.0).line("4 steps", 10)
    assert "2.5 times as fast as exact (10 steps), PSNR 31.2 dB, DINO distance 0.041 to it" in line
    assert "simply 4 exact steps in the same time: the same picture, DINO distance 0.000" in line


def test_a_quantised_copy_draws_fast(tiny):
    pytest.importorskip("torchao")
    model = tiny("flux", options={"steps": 3, "fast": {"quantise": "int8"}})
    (exact,) = drawn(model)
    (fast,) = drawn(model, speed="fast")
    assert 0 < np.abs(fast.value.astype(int) - exact.value).mean() < 20
    assert far(drawn(model)[0], exact) <= 1


def test_what_fast_costs_stands_in_the_record(tiny, tmp_path):
    model = tiny("sd", options={"steps": 6})
    given = {"prompts": ["a", "b"], "width": 32, "height": 32, "speed": "fast"}
    results = model.generate(folder=tmp_path / "run", **given)
    rows = results.table().to_pylist()
    assert [row["speed"] for row in rows] == ["fast", "fast"]
    (line,) = results.notes
    assert "4 steps by dpm++" in line
    assert json.loads((tmp_path / "run" / "record.json").read_text())["notes"] == [line]


def test_savers_are_those_of_the_pipeline_and_keep_small_pictures_as_they_are(tiny):
    model = tiny("sd")
    (before,) = drawn(model)
    assert list(model.adapter.savers()) == ["vae-slicing", "vae-tiling"]
    for name in model.adapter.savers():
        model.adapter.save_memory(name)
        assert far(drawn(model)[0], before) <= 1
    assert list(tiny("prx").adapter.savers()) == []
