"""Attention by two products says what torch's own says."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from foundation import attention


@settings(deadline=None, max_examples=30)
@given(
    rows=st.integers(1, 5),
    heads=st.integers(1, 3),
    tokens=st.integers(1, 90),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_attention_is_that_of_torch(rows: int, heads: int, tokens: int, dtype: torch.dtype) -> None:
    random = torch.Generator().manual_seed(tokens)
    query, key, value = (
        torch.randn(rows, tokens, heads, 16, generator=random).transpose(1, 2) for _ in range(3)
    )
    wanted = scaled_dot_product_attention(query.double(), key.double(), value.double(), scale=0.3)
    found = attention.attended(query.to(dtype), key.to(dtype), value.to(dtype), 0.3)
    assert found.dtype == dtype
    assert found.shape == wanted.shape
    near = 1e-5 if dtype == torch.float32 else 0.06
    assert float((found.double() - wanted).abs().max()) < near


def test_many_tokens_pass_in_parts_and_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    query, key, value = torch.randn(3, 7, 2, 80, 8).bfloat16()
    whole = attention.attended(query, key, value, 0.3)
    monkeypatch.setattr(attention, "SCORES", 3 * 2 * 80 * 80)
    assert torch.equal(attention.attended(query, key, value, 0.3), whole)
