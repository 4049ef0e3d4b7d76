"""Between texts and tokens, for tokenizers that spell blanks in their own ways."""

from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from foundation.decoding.script import Script

BLANK = "\u2581"


def of_bytes() -> Script:
    vocabulary = {c: n for n, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    merges = [("\u0120", "a"), ("\u010a", "\u0120")]
    vocabulary |= {"\u0120a": 256, "\u010a\u0120": 257}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return script(tokenizer)


def of_pieces() -> Script:
    """As Llama 2 and CodeLlama have it: a blank is put before every text."""
    pieces = [f"<0x{n:02X}>" for n in range(256)]
    vocabulary = {piece: n for n, piece in enumerate(["<unk>", *pieces, BLANK, *"abx)(:="])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend(BLANK), normalizers.Replace(" ", BLANK)]
    )
    steps = [decoders.Replace(BLANK, " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)])
    return script(tokenizer)


def script(tokenizer: Tokenizer) -> Script:
    return Script(PreTrainedTokenizerFast(tokenizer_object=tokenizer), 64)


@pytest.mark.parametrize("make", [of_bytes, of_pieces])
@pytest.mark.parametrize("text", ["ab", " ab", ")x", "\n  a", ""])
def test_a_text_within_another_gets_no_blank_of_its_own(make: Any, text: str) -> None:
    found = make()
    tokens = found.words("x") + found.within(text)
    assert found.text(tokens) == "x" + text


def test_a_text_that_begins_gets_its_blank() -> None:
    pieces = of_pieces()
    assert len(pieces.words("ab")) == 3
    assert len(pieces.within("ab")) == 2


def test_tokens_that_begin_with_a_blank_or_a_newline() -> None:
    found = of_bytes()
    known = found.vocabulary
    assert set(found.beginning("\n")) == {known["\u010a"], 257}
    assert set(found.beginning(" ")) == {known["\u0120"], 256}
    assert of_pieces().beginning("\n") == (1 + 10,)
    assert found.beginning("") == ()
