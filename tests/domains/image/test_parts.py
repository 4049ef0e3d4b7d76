"""Parts of a pipeline from other files: a GGUF, another folder, one checkpoint for all."""

import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from foundation.domains.image import parts
from foundation.domains.image.inputs import Generate
from foundation.draws import Draws
from foundation.errors import InputError, MissingExtra, SourceError, UnknownName


def drawn(model):
    request = Generate("a cat", width=32, height=32, guidance=3.0)
    ((_, output),) = model.adapter.run("generate", [request], Draws(7, [0]))
    assert output.reason is None
    return output.value.astype(int)


def gguf(folder, path, kind):
    """The tiny transformer of a folder as a GGUF file."""
    import gguf as library
    from diffusers import FluxTransformer2DModel

    writer = library.GGUFWriter(path, "flux")
    weights = FluxTransformer2DModel.from_pretrained(folder / "transformer").state_dict()
    for name, weight in weights.items():
        values = weight.float().numpy()
        if values.ndim == 2 and values.shape[1] % 32 == 0:
            values = library.quants.quantize(values, kind)
            writer.add_tensor(name, values, raw_dtype=kind)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_quantised_transformer_stays_quantised_and_draws_about_the_same(tiny, folders, tmp_path):
    import gguf as library

    path = tmp_path / "flux.gguf"
    gguf(folders("flux"), path, library.GGMLQuantizationType.Q8_0)
    plain = drawn(tiny("flux"))
    model = tiny("flux", options={"parts": {"transformer": str(path)}})
    made = drawn(model)
    kept = [w for w in model.adapter.pipe.transformer.parameters() if w.dtype == torch.uint8]
    assert kept
    assert 0 < np.abs(made - plain).mean() < 10


def test_another_folder_takes_the_place_of_a_part(tiny, folders, tmp_path):
    from diffusers import UNet2DConditionModel

    torch.manual_seed(9)
    config = UNet2DConditionModel.load_config(folders("sd") / "unet")
    UNet2DConditionModel.from_config(config).save_pretrained(tmp_path / "other")
    made = drawn(tiny("sd", options={"parts": {"unet": str(tmp_path / "other")}}))
    assert np.abs(made - drawn(tiny("sd"))).max() > 1


def test_parts_and_backends_that_are_not_there_are_refused_in_a_line(tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(parts.PACKAGES, "bitsandbytes", "no_such_package")
    (tmp_path / "x.bin").write_bytes(b"\x80\x02}q\x00.")
    save_file({"a": torch.zeros(2)}, tmp_path / "x.safetensors")
    wrong = [
        ({"parts": {"transformr": "x"}}, UnknownName),
        ({"parts": {"unet": str(tmp_path / "x.bin")}}, SourceError),
        ({"parts": {"unet": str(tmp_path / "x.safetensors")}}, SourceError),
        ({"parts": {"unet": str(tmp_path / "absent.gguf")}}, SourceError),
        ({"quantise": {"unet": {"backend": "torcha"}}}, UnknownName),
        ({"quantise": {"net": {"backend": "torchao"}}}, UnknownName),
        ({"quantise": {"unet": {"backend": "bitsandbytes_4bit"}}}, MissingExtra),
    ]
    for options, error in wrong:
        with pytest.raises(error) as caught:
            _ = tiny("sd", options=options).adapter
        assert len(str(caught.value).splitlines()) == 1, options


def test_one_checkpoint_file_draws_what_its_folder_draws(tiny, folders, tmp_path):
    path, configuration = tmp_path / "all.safetensors", tmp_path / "configuration"
    save_file(single_file(folders("sd")), path)
    shutil.copytree(folders("sd"), configuration, ignore=shutil.ignore_patterns("*.safetensors"))
    model = tiny("sd", path=path, options={"config": str(configuration)})
    assert np.abs(drawn(model) - drawn(tiny("sd"))).max() <= 1
    with pytest.raises(InputError, match=r"model\.options\.config"):
        _ = tiny("sd", path=path).adapter


def single_file(folder):
    """The weights of a tiny Stable Diffusion as one checkpoint of its first code names them."""
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(folder)
    made = {}
    for name, weight in pipe.unet.state_dict().items():
        made[f"model.diffusion_model.{_unet(name)}"] = weight
    for name, weight in pipe.vae.state_dict().items():
        linear = ".mid_block.attentions." in name and ".to_" in name and weight.ndim == 2
        made[f"first_stage_model.{_vae(name)}"] = weight[..., None, None] if linear else weight
    for name, weight in pipe.text_encoder.state_dict().items():
        made[f"cond_stage_model.transformer.text_model.{name.removeprefix('text_model.')}"] = weight
    return {name: weight.contiguous().clone() for name, weight in made.items()}


_RESNET = (
    ("norm1", "in_layers.0"), ("conv1", "in_layers.2"), ("time_emb_proj", "emb_layers.1"),
    ("norm2", "out_layers.0"), ("conv2", "out_layers.3"), ("conv_shortcut", "skip_connection"),
)  # fmt: skip


def _unet(name):
    """Two blocks down and two up, one resnet each and one more on the way up."""
    first, _, rest = name.partition(".")
    if first in ("conv_in", "conv_norm_out", "conv_out"):
        return {"conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2"}[
            first
        ] + f".{rest}"
    if first == "time_embedding":
        return "time_embed." + rest.replace("linear_1", "0").replace("linear_2", "2")
    words = name.split(".")
    if first == "mid_block":
        place = {"resnets": 2 * int(words[2]), "attentions": 1}[words[1]]
        return f"middle_block.{place}.{_inner(words[1], '.'.join(words[3:]))}"
    block, kind = int(words[1]), words[2]
    if first == "down_blocks":
        if kind == "downsamplers":
            return f"input_blocks.{2 * block + 2}.0.op.{words[-1]}"
        return f"input_blocks.{2 * block + 1}.{int(kind == 'attentions')}." + _inner(
            kind, ".".join(words[4:])
        )
    place = 2 * block
    if kind == "upsamplers":
        return f"output_blocks.{place + 1}.{2 if block == 0 else 1}.conv.{words[-1]}"
    return f"output_blocks.{place + int(words[3])}.{int(kind == 'attentions')}." + _inner(
        kind, ".".join(words[4:])
    )


def _inner(kind, rest):
    if kind == "resnets":
        for ours, theirs in _RESNET:
            rest = rest.replace(ours, theirs)
    return rest


def _vae(name):
    for ours, theirs in (
        ("conv_norm_out", "norm_out"), ("conv_shortcut", "nin_shortcut"),
        ("mid_block.attentions.0.group_norm", "mid.attn_1.norm"),
        ("mid_block.attentions.0.to_q", "mid.attn_1.q"),
        ("mid_block.attentions.0.to_k", "mid.attn_1.k"),
        ("mid_block.attentions.0.to_v", "mid.attn_1.v"),
        ("mid_block.attentions.0.to_out.0", "mid.attn_1.proj_out"),
        ("mid_block.resnets.0", "mid.block_1"), ("mid_block.resnets.1", "mid.block_2"),
    ):  # fmt: skip
        name = name.replace(ours, theirs)
    words = name.split(".")
    if words[1] == "down_blocks":
        if words[3] == "downsamplers":
            return f"encoder.down.{words[2]}.downsample.conv.{words[-1]}"
        return f"encoder.down.{words[2]}.block.{'.'.join(words[4:])}"
    if words[1] == "up_blocks":
        block = 1 - int(words[2])
        if words[3] == "upsamplers":
            return f"decoder.up.{block}.upsample.conv.{words[-1]}"
        return f"decoder.up.{block}.block.{'.'.join(words[4:])}"
    return name
