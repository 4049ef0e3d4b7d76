"""Secrets in code: keys and tokens, by the patterns of the package detect-secrets (Apache-2.0)."""

from typing import TYPE_CHECKING, Any

from foundation.errors import MissingExtra
from foundation.results import Result

if TYPE_CHECKING:
    from detect_secrets.plugins.base import BasePlugin

LEFT_OUT = (
    "KeywordDetector",
    "Base64HighEntropyString",
    "HexHighEntropyString",
    "IPPublicDetector",
)
"""What is no key of a known form: names such as `password`, any random text, addresses."""


class Secrets:
    """Keys and tokens of known forms: AWS, Azure, GitHub, GitLab, OpenAI, Slack, Stripe, npm, JWT,
    private keys, passwords in addresses and others. None is tried out on its service."""

    def __init__(self) -> None:
        try:
            from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
        except ImportError as error:
            raise MissingExtra("detect-secrets", "trust") from error
        kinds: list[Any] = list(get_mapping_from_secret_type_to_class().values())
        self._plugins: list[BasePlugin] = [
            kind() for kind in kinds if kind.__name__ not in LEFT_OUT
        ]

    def __call__(self, result: Result) -> str | None:
        found = {
            plugin.secret_type
            for line in str(result.output).splitlines()
            for plugin in self._plugins
            if next(iter(plugin.analyze_string(line)), None)
        }
        return ", ".join(sorted(found)) or None
