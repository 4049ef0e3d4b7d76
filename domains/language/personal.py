"""Personal data in a text, by patterns and, where a number has one, its checksum."""

import ipaddress
import re
from collections.abc import Iterator

from foundation.errors import InputError, MissingExtra
from foundation.results import Result

_EMAIL = re.compile(
    r"(?<![\w.+%-])[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}"
    r"[A-Za-z]{2,24}(?![\w-])"
)
_CARD = re.compile(r"(?<![\d.-])\d(?:[ -]?\d){12,18}(?![\d-])")
_IBAN = re.compile(r"(?<![A-Za-z0-9])([A-Z]{2})\d{2}(?: ?[A-Z0-9]){11,30}")
_IP = re.compile(
    r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f:]{2,39}:[0-9A-Fa-f:.]{0,39})(?![\w:])"
)
# How long an IBAN is in each country, from SWIFT's registry.
_LENGTHS = {
    length: countries.split()
    for length, countries in {
        15: "NO", 16: "BE BI", 18: "DK FI FO GL NL SD",  # codespell:ignore fo
        19: "MK SI", 20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV", 22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG", 25: "LY PT ST", 26: "IS TR",
        27: "BY DJ FR GR IT MC MR SM", 28: "AL AZ CY DO GT HN HU LB NI PL SV",
        29: "BR EG PS QA UA", 30: "JO KW MU", 31: "MT SC", 32: "LC", 33: "RU",
    }.items()
}  # fmt: skip
_LENGTH = {country: length for length, countries in _LENGTHS.items() for country in countries}


class Personal:
    """E-mail addresses, telephone numbers, payment cards, bank accounts (IBAN), public addresses.

    region: the country (GB, US ...) whose numbers are known without their +; None: only those with.
    """

    def __init__(self, region: str | None = None) -> None:
        try:
            import phonenumbers
        except ImportError as error:
            raise MissingExtra("phonenumbers", "trust") from error
        if region is not None and region not in phonenumbers.SUPPORTED_REGIONS:
            raise InputError(f"region must be a country such as GB or US, got '{region}'")
        self._region, self._phones = region, phonenumbers

    def __call__(self, result: Result) -> str | None:
        found = sorted(set(self.kinds(result.output)))
        return ", ".join(found) or None

    def kinds(self, text: str) -> Iterator[str]:
        """The kinds of personal data in a text, each as often as it is there."""
        yield from ("e-mail address" for _ in _EMAIL.finditer(text))
        yield from ("payment card" for found in _CARD.finditer(text) if is_card(found[0]))
        yield from ("bank account" for found in _IBAN.finditer(text) if is_iban(found[0]))
        yield from ("IP address" for found in _IP.finditer(text) if is_public_ip(found[0]))
        for _ in self._phones.PhoneNumberMatcher(text, self._region):
            yield "telephone number"


def is_card(text: str) -> bool:
    """Whether digits, perhaps in groups, are a card's of a known scheme: Luhn (ISO/IEC 7812)."""
    digits = [int(c) for c in text if c.isdigit()]
    if not _of_scheme("".join(map(str, digits[:4])), len(digits)):
        return False
    doubled = [2 * d - 9 * (2 * d > 9) for d in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _of_scheme(start: str, length: int) -> bool:
    """Visa, Mastercard, American Express, Discover, JCB, Diners, Maestro by prefix and length."""
    first = int(start)
    return any(
        (
            start[0] == "4" and length in (13, 16, 19),
            (5100 <= first <= 5599 or 2221 <= first <= 2720) and length == 16,
            start[:2] in ("34", "37") and length == 15,
            (start == "6011" or start[:2] in ("64", "65")) and 16 <= length <= 19,
            (3528 <= first <= 3589 or start in ("2131", "1800")) and 15 <= length <= 19,
            (start[:2] in ("36", "38", "39") or 3000 <= first <= 3059) and 14 <= length <= 19,
            start in ("5018", "5020", "5038", "5893", "6304", "6759", "6761", "6762", "6763"),
        )
    )


def is_iban(text: str) -> bool:
    """Whether a text begins with an account's number: length of the country, ISO 7064 mod 97-10."""
    plain = text.replace(" ", "")
    plain = plain[: _LENGTH.get(plain[:2], 0)]
    if len(plain) != _LENGTH.get(plain[:2]):
        return False
    moved = plain[4:] + plain[:4]
    return int("".join(str(int(c, 36)) for c in moved)) % 97 == 1


def is_public_ip(text: str) -> bool:
    """Whether it is an address that is routed on the internet."""
    try:
        return ipaddress.ip_address(text.rstrip(".")).is_global
    except ValueError:
        return False
