"""What a licence of weights allows, in one line; the licence's own text decides."""

import re

_OPEN = "use, change and pass on, also for money"
_RAIL = f"{_OPEN}, except for the uses its attachment forbids; that list must be passed on"
_OWN = "research and other non-commercial use alone; read its text"

_ALLOWS = {
    "mit": f"{_OPEN}; keep the copyright notice",
    "bsd-3-clause": f"{_OPEN}; keep the copyright notice, do not advertise with the authors' names",
    "apache-2.0": f"{_OPEN}; keep the notices, say what was changed; grants patents",
    "cc0-1.0": f"{_OPEN}, without conditions",
    "cc-by-4.0": f"{_OPEN}; name the authors and say what was changed",
    "cc-by-sa-4.0": f"{_OPEN}; name the authors, pass changes on under the same licence",
    "cc-by-nc-4.0": "use, change and pass on, not for money; name the authors",
    "cc-by-nc-sa-4.0": "use, change and pass on, not for money; name the authors, same licence",
    "gpl-3.0": f"{_OPEN}; pass changes on with their source under the same licence",
    "agpl-3.0": f"{_OPEN}; as GPL-3.0, also where it is only served over a network",
    "creativeml-openrail-m": _RAIL,
    "creativeml-openrail++-m": _RAIL,
    "openrail": _RAIL,
    "openrail++": _RAIL,
    "bigcode-openrail-m": _RAIL,
    "deepseek": _RAIL,
    "llama-3.2-community": "use, change and pass on under its own conditions: an acceptable-use "
    "policy, 'Built with Llama', and a licence of Meta's beyond 700 million monthly users",
    "stability-ai-community": "free for research and for those with less than 1 million dollars of "
    "yearly revenue, under its acceptable-use policy; others need a licence of Stability AI's",
    "dinov3-license": "use, change and pass on under its own conditions, without military or "
    "weapons uses; read its text",
    "flux.1-[dev]-non-commercial": _OWN,
    "flux.2-[dev]-non-commercial": _OWN,
    "nvidia-source-code-license": _OWN,
}
_SAME = {"llama3.2": "llama-3.2-community", "gpl-3.0-or-later": "gpl-3.0"}


def allows(licence: str) -> str:
    """What a licence allows; "unknown" for one that is not known here."""
    key = re.sub(r"[\s_]+", "-", licence.strip().lower())
    return _ALLOWS.get(_SAME.get(key, key), "unknown")
