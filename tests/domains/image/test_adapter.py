"""Six kinds of pipelines draw the same picture alone and in a batch; what cannot be is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from foundation.domains.image.adapter import seeds
from foundation.domains.image.inputs import Generate
from foundation.draws import Draws
from foundation.errors import InputError, RequestError, SourceError, UnknownName
from foundation.spec import Delta

KINDS = ("sd", "sdxl", "sd3", "flux", "pixart", "prx")
SIDE = {"prx": 64}


def pictures(model, prompts, ids=None, **given):
    """Request number -> picture, as 0 to 255."""
    ids = list(range(len(prompts))) if ids is None else ids
    size = SIDE.get(model.spec.name.removeprefix("image/"), 32)
    batch = [Generate(prompt, width=size, height=size, **given) for prompt in prompts]
    made = dict(model.adapter.run("generate", batch, Draws(7, ids)))
    assert all(output.reason is None for output in made.values()), made
    return {ids[row]: output.value.astype(float) for row, output in made.items()}


def first_noise(model):
    """What the denoiser is given at the first step of each call, a row a picture."""
    pipe, seen = model.adapter.pipe, []
    denoiser = pipe.unet if getattr(pipe, "transformer", None) is None else pipe.transformer

    def note(_module, given, named):
        sample = given[0] if given else named.get("sample", named.get("hidden_states"))
        time = float(
            torch.as_tensor(named.get("timestep", given[1] if len(given) > 1 else 0)).max()
        )
        if not seen or time > note.time:
            seen.append(sample.clone())
        note.time = time

    note.time = -1.0
    denoiser.register_forward_pre_hook(note, with_kwargs=True)
    return seen


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_alone_equals_that_in_a_batch(tiny, kind):
    model = tiny(kind)
    noise = first_noise(model)
    prompts = ["a cat", "a red dog, a blue one", "b"]
    together = pictures(model, prompts)
    begun = noise.pop()
    turned = pictures(model, prompts[::-1], [2, 1, 0])
    assert torch.equal(noise.pop()[:3], begun[:3].flip(0))
    for number, prompt in enumerate(prompts):
        alone = pictures(model, [prompt], [number])[number]
        assert torch.equal(noise.pop()[0], begun[number])  # bit for bit
        assert np.abs(alone - together[number]).max() <= 1, number
        assert np.abs(turned[number] - together[number]).max() <= 1
    assert np.abs(together[0] - together[2]).max() > 1
    again = pictures(model, ["a cat"], [9])[9]  # another number, another noise
    assert np.abs(again - together[0]).max() > 1


def test_each_picture_has_a_seed_of_its_own_that_redraws_it(tiny):
    model = tiny("sd")
    request = Generate("a cat", width=32, height=32)
    (_, first), (_, second) = model.adapter.run("generate", [request] * 2, Draws(7, [0, 1]))
    assert first.extra["image_seed"] != second.extra["image_seed"]
    again = Generate("a cat", width=32, height=32, image_seed=second.extra["image_seed"])
    ((_, redrawn),) = model.adapter.run("generate", [again], Draws(99, [5]))
    assert np.abs(redrawn.value.astype(int) - second.value).max() <= 1
    assert seeds([request] * 2, Draws(7, [0, 1])) == [
        first.extra["image_seed"],
        second.extra["image_seed"],
    ]


@pytest.mark.parametrize("name", ["ddim", "euler", "euler-a", "dpm++", "unipc"])
def test_a_scheduler_also_a_random_one_keeps_pictures_apart(tiny, name):
    model = tiny("sd")
    together = pictures(model, ["a cat", "a dog"], scheduler=name, steps=3)
    alone = pictures(model, ["a dog"], [1], scheduler=name, steps=3)
    assert np.abs(alone[1] - together[1]).max() <= 1


def test_a_scheduler_of_the_wrong_kind_is_refused(tiny):
    for kind, name in (("sd", "flow-euler"), ("sd3", "ddim")):
        request = Generate("a", width=32, height=32, scheduler=name)
        ((_, output),) = tiny(kind).adapter.run("generate", [request], Draws(0, [0]))
        assert output.refused
        assert "predicts" in output.reason
    assert pictures(tiny("prx"), ["a"], scheduler="dpm++")  # a solver of flows


@pytest.mark.parametrize(
    ("kind", "size", "reason"),
    [
        ("sd", {"width": 36}, "width 36: .* multiples of 8; the nearest are 32 and 40"),
        ("flux", {"height": 34}, "multiples of 4"),
        ("prx", {"height": 72}, "multiples of 16"),
    ],
)  # fmt: skip
def test_impossible_sizes_are_rows_with_a_reason(tiny, kind, size, reason):
    model = tiny(kind)
    table = model.generate(prompts=["a cat", "a dog"], **{"width": 64, "height": 64, **size})
    with pytest.raises(InputError, match=reason):
        table.finish()


def test_sides_that_were_never_learnt_are_refused(tiny):
    model = tiny("prx", options={"sides": [64]})
    ((_, output),) = model.adapter.run("generate", [Generate("a", width=80)], Draws(0, [0]))
    assert output.refused
    assert output.reason == "width 80: this model draws 64 only"


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"width": 3},
        {"guidance": -1},
        {"lora": "x"},
        {"image_seed": -1},
        {"prompt": ""},
    ],
)
def test_wrong_requests_are_refused_in_a_line(wrong):
    with pytest.raises(RequestError) as caught:
        Generate(**{"prompt": "a", **wrong})
    assert len(str(caught.value).splitlines()) == 1


def test_an_unknown_scheduler_is_refused_with_the_nearest():
    with pytest.raises(UnknownName, match="did you mean 'euler'"):
        Generate("a", scheduler="eulr")


def test_guidance_and_negative_prompts_change_the_picture(tiny):
    model = tiny("sd")
    plain = pictures(model, ["a cat"], guidance=1.0)[0]
    guided = pictures(model, ["a cat"], guidance=9.0)[0]
    against = pictures(model, ["a cat"], guidance=9.0, negative="a dog")[0]
    assert np.abs(plain - guided).max() > 1
    assert np.abs(guided - against).max() > 1


def test_a_long_prompt_is_marked_with_what_was_cut(tiny):
    adapter = tiny("sd").adapter
    request = Generate("abcdefgh ijklmnop", width=32, height=32)
    ((_, output),) = adapter.run("generate", [request], Draws(0, [0]))
    assert output.extra["cut"].replace(" ", "") == "op"  # of 16 tokens two are special
    ((_, output),) = adapter.run("generate", [Generate("abc", width=32, height=32)], Draws(0, [0]))
    assert output.extra["cut"] is None


def test_black_pictures_and_those_of_nan_are_rows_with_a_reason(tiny):
    model = tiny("sd")
    with torch.no_grad():
        model.adapter.pipe.vae.decoder.conv_out.weight.zero_()
        model.adapter.pipe.vae.decoder.conv_out.bias.fill_(-2)
    rows = model.generate(prompts=["a"], width=32, height=32).table().to_pylist()
    assert (rows[0]["valid"], rows[0]["reason"]) == (False, "the picture is black")
    assert rows[0]["output"] == "images/000000.png"  # kept, to be looked at
    with torch.no_grad():
        model.adapter.pipe.vae.decoder.conv_out.bias.fill_(torch.nan)
    rows = model.generate(prompts=["a"], width=32, height=32).table().to_pylist()
    assert rows[0]["output"] is None
    assert "not a number" in rows[0]["reason"]


def _lora(tiny, folder: Path, kind: str = "sd") -> Path:
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft import LoraConfig, get_peft_model_state_dict

    model = tiny(kind)
    unet = model.adapter.pipe.unet
    unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(unet))
    type(model.adapter.pipe).save_lora_weights(folder, unet_lora_layers=layers)
    return folder / "pytorch_lora_weights.safetensors"


def test_lora_weights_are_scaled_and_put_on_record(tiny, tmp_path):
    path = _lora(tiny, tmp_path)
    plain = pictures(tiny("sd"), ["a cat"])[0]
    model = tiny("sd", deltas=(Delta(str(path), 2.0), Delta(str(path), 1.0)))
    request = Generate("a cat", width=32, height=32)
    ((_, output),) = model.adapter.run("generate", [request], Draws(7, [0]))
    assert np.abs(output.value - plain).max() > 1
    told = json.loads(output.extra["loras"])
    assert [each["scale"] for each in told] == [2.0, 1.0]
    assert len(told[0]["sha256"]) == 64
    without = pictures(model, ["a cat"], lora=0.0)[0]
    assert np.abs(without - plain).max() <= 1
    changed = tiny("sd", deltas=(Delta(str(path), 1.0, "0" * 64),))
    with pytest.raises(SourceError, match="sha256"):
        _ = changed.adapter


def test_a_lora_of_another_architecture_is_refused_in_a_line(tiny, tmp_path):
    path = _lora(tiny, tmp_path)
    for kind in ("sdxl", "flux", "prx"):
        with pytest.raises(SourceError) as caught:
            _ = tiny(kind, deltas=(Delta(str(path)),)).adapter
        assert len(str(caught.value).splitlines()) == 1
        assert "architecture" in str(caught.value) or "takes no LoRA" in str(caught.value)


def test_pickles_and_folders_of_something_else_are_refused(tiny, tmp_path):
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x02}q\x00.")
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    with pytest.raises(SourceError, match="is a pickle"):
        _ = tiny("sd", path=tmp_path).adapter
    (tmp_path / "unet" / "diffusion_pytorch_model.bin").unlink()
    with pytest.raises(SourceError, match="holds no pipeline"):
        _ = tiny("sd", path=tmp_path).adapter
    (tmp_path / "model_index.json").unlink()
    with pytest.raises(SourceError, match="no folder of diffusers"):
        _ = tiny("sd", path=tmp_path).adapter


def test_a_png_says_how_it_was_drawn_and_redraws_it(tiny, tmp_path):
    model = tiny("sd")
    given = {"width": 32, "height": 40, "guidance": 3.0, "negative": "a dog", "scheduler": "euler"}
    results = model.generate(prompts=["a cat", "a bird"], folder=tmp_path / "one", seed=4, **given)
    rows = results.table().to_pylist()
    assert [row["output"] for row in rows] == ["images/000000.png", "images/000001.png"]
    png = tmp_path / "one" / "images" / "000001.png"
    with Image.open(png) as picture:
        told, before = json.loads(picture.text["foundation"]), np.asarray(picture).astype(int)
    assert told["prompt"] == "a bird"
    assert told["model"] == "image/sd"
    assert told["revision"]
    again = model.generate(input=str(png), folder=tmp_path / "two", seed=99)
    assert len(again.table()) == 1
    with Image.open(tmp_path / "two" / "images" / "000000.png") as redrawn:
        assert redrawn.size == (32, 40)
        assert np.abs(np.asarray(redrawn).astype(int) - before).max() <= 1
    with Image.open(tmp_path / "one" / "contact.png") as sheet:
        assert sheet.width > 2 * 128
    html = results._repr_html_()
    assert html.count("<img") == 2
    assert "a bird" in html


def test_prompts_come_from_tables_and_text(tiny, tmp_path):
    from foundation.domains.image.files import read

    (tmp_path / "p.csv").write_text("prompt,steps,image_seed\na cat,3,12\n ,5,\na dog,x,\n")
    rows = list(read(tmp_path / "p.csv"))
    assert rows[0] == {"prompt": "a cat", "steps": 3, "image_seed": 12}
    assert rows[1]["error"] == "record 2: an empty prompt"
    assert rows[2]["error"] == "record 3: steps is no number: x"
    (tmp_path / "p.txt").write_text("a cat\n\na dog\n")
    assert [row["prompt"] for row in read(tmp_path / "p.txt")] == ["a cat", "a dog"]
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    with pytest.raises(RequestError, match="does not say how it was drawn"):
        list(read(tmp_path / "plain.png"))
