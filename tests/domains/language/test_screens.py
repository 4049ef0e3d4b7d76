"""Personal data is found where its checksum is right, and numbers alone are let through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.domains.language.personal import Personal, is_card, is_iban
from foundation.domains.language.profanity import Profanity
from foundation.errors import InputError
from foundation.results import Result

FOUND = {
    "write to Jane.Doe+x@mail.example.co.uk today": "e-mail address",
    "call +44 20 7946 0958.": "telephone number",
    "my card is 4111 1111 1111 1111, ok": "payment card",
    "pay GB82 WEST 1234 5698 7654 32 AND THEN": "bank account",
    "from DE89370400440532013000": "bank account",
    "host 8.8.8.8.": "IP address",
    "at 2001:4860:4860::8888 now": "IP address",
    "a@b.org and 4111-1111-1111-1111": "e-mail address, payment card",
}
CLEAN = [
    "version 4.11.2 of 2026-11-26 at 10:20:30",
    "4111 1111 1111 1112 is no card",
    "GB82 WEST 1234 5698 7654 33",
    "router 192.168.0.1 and ::1",
    "@someone said a@b",
    "order 1234567890123456789012345",
    "std::vector<int> x(10); 3:45 pm",
    "ratio 0.0000000000004",
]


def why(text: str, **settings: str) -> str | None:
    return Personal(**settings)(Result(0, None, text, True))


@pytest.mark.parametrize(("text", "kind"), FOUND.items())
def test_personal_data_is_found(text: str, kind: str) -> None:
    assert why(text) == kind


@pytest.mark.parametrize("text", CLEAN)
def test_what_is_none_is_let_through(text: str) -> None:
    assert why(text) is None


def test_a_country_s_own_numbers_are_known_where_it_is_named() -> None:
    assert why("ring 020 7946 0958 now") is None
    assert why("ring 020 7946 0958 now", region="GB") == "telephone number"
    with pytest.raises(InputError, match="region must be a country"):
        Personal(region="Britain")


@given(st.text(max_size=300) | st.from_regex(r"[A-Z0-9 @.:+-]{0,200}", fullmatch=True))
def test_any_text_can_be_looked_at(text: str) -> None:
    why(text)
    is_iban(text)


@given(st.text("0123456789", min_size=15, max_size=15), st.integers(1, 9))
def test_a_digit_that_is_wrong_is_no_card(digits: str, by: int) -> None:
    start = "4" + digits[1:]
    (last,) = [d for d in "0123456789" if is_card(start + d)]
    assert not is_card(start + str((int(last) + by) % 10))


def test_a_list_finds_swear_words_however_they_are_spelt() -> None:
    screen = Profanity()
    for text in ("what the fuck", "what the f.u.c.k", "what the fück"):
        assert screen(Result(0, None, text, True)), text
    assert screen(Result(0, None, "a classic assessment in Scunthorpe", True)) is None
