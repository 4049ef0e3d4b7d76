"""Taking secrets out of text that is shown or kept."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

HIDDEN = "***"
PATTERNS = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[^\s'\",;]+"), rf"\1 {HIDDEN}"),
    (re.compile(r"\bhf_[A-Za-z0-9]{20,}"), HIDDEN),
    (re.compile(r"(?<=://)[^/\s@]+@"), f"{HIDDEN}@"),
    (re.compile(r"(https?://[^\s?'\"]+)\?[^\s'\"]+"), rf"\1?{HIDDEN}"),
)


def redact(text: str) -> str:
    """Hide the Hub's token in any spelling, passwords in addresses, and signed query strings."""
    for token in _tokens():
        for spelling in (token, repr(token)[1:-1], quote(token, safe="")):
            text = text.replace(spelling, HIDDEN)
    for pattern, replacement in PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def _tokens() -> Iterator[str]:
    """Every token huggingface_hub could send, so that none can be quoted."""
    from huggingface_hub import constants

    found = [os.environ.get("HF_TOKEN"), os.environ.get("HUGGING_FACE_HUB_TOKEN")]
    file = Path(constants.HF_TOKEN_PATH)
    if file.is_file() and os.access(file, os.R_OK):
        found.append(file.read_text(errors="replace"))
    for token in found:
        # Shorter ones are no tokens, and hiding them would eat words.
        if token and len(token.strip()) >= 4:
            yield token.strip()
