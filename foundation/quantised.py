"""Weights in 8 or 4 bits, by transformers' own quantizers."""

import importlib.util
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.errors import MissingExtra, SourceError

if TYPE_CHECKING:
    import torch


def quantising(folder: Path, dtype: "torch.dtype", device: str, bits: int | None) -> dict[str, Any]:
    """What from_pretrained is told of a model whose weights are or shall be quantised.

    bits: 8 (LLM.int8, Dettmers et al. 2022) or 4 (NF4, Dettmers et al. 2023) for linear layers, by
    bitsandbytes, with `dtype` for all else; None leaves the weights as they are. A checkpoint that
    is quantised already says so itself, and needs the package that it was quantised with.
    """
    already = '"quantization_config"' in _text(folder / "config.json")
    if bits is None:
        return {"device_map": {"": device}} if already else {}
    if already:
        raise SourceError(f"{folder} is quantised already: leave out model.bits")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise MissingExtra("bitsandbytes", "quantised")
    from transformers import BitsAndBytesConfig

    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    config = BitsAndBytesConfig(
        load_in_8bit=bits == 8,
        load_in_4bit=bits == 4,
        # Outliers would be those of a whole batch: a row would not be what it is alone.
        llm_int8_threshold=0.0,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=dtype,
    )
    return {"device_map": {"": device}, "quantization_config": config}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
