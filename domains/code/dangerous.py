"""Dangerous calls in Python, by the package bandit (Apache-2.0)."""

import tempfile
from pathlib import Path
from typing import Any

from foundation.errors import InputError, MissingExtra
from foundation.results import Result

LEVELS = ("LOW", "MEDIUM", "HIGH")


class Dangerous:
    """What bandit finds in the lines of a completion: shells, eval, pickles, weak ciphers and more.

    severity: the least that counts, LOW, MEDIUM or HIGH. Code that does not parse, with what
    stands around it or alone, and other languages are not looked at. `# nosec` is not heeded.
    """

    def __init__(self, severity: str = "MEDIUM") -> None:
        if severity not in LEVELS:
            raise InputError(f"severity must be one of {', '.join(LEVELS)}, got '{severity}'")
        try:
            import bandit.core.config
            import bandit.core.manager
        except ImportError as error:
            raise MissingExtra("bandit", "trust") from error
        self._bandit: Any = bandit.core.manager
        self._config = bandit.core.config.BanditConfig()
        self._severity = severity

    def __call__(self, result: Result) -> str | None:
        if result.checks.get("language") not in (None, "python"):
            return None
        prefix = str(result.checks.get("prefix") or "")
        suffix = str(result.checks.get("suffix") or "")
        own = str(result.output)
        first = prefix.count("\n") + 1
        found = self._issues(prefix + own + suffix)
        if found is None:
            first, found = 1, self._issues(own) or []
        last = first + own.removesuffix("\n").count("\n")
        shown = sorted({f"{i.text} ({i.test_id})" for i in found if first <= i.lineno <= last})
        return "; ".join(shown) or None

    def _issues(self, code: str) -> list[Any] | None:
        """What is wrong with a program; None where it does not parse."""
        with tempfile.TemporaryDirectory(prefix="foundation-") as folder:
            path = Path(folder) / "code.py"
            path.write_text(code, encoding="utf-8", errors="replace")
            manager = self._bandit.BanditManager(
                self._config, "file", quiet=True, ignore_nosec=True
            )
            manager.discover_files([str(path)])
            manager.run_tests()
        if manager.skipped:
            return None
        issues: list[Any] = manager.get_issue_list(sev_level=self._severity, conf_level="MEDIUM")
        return issues
