"""The command `foundation`.

--help, --version, --completion, task=models, task=devices, task=leases, task=status and
task=verify are answered here, before Hydra is imported.
"""

import os
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Do what `argv` (the command line's words by default) asks; the exit code."""
    typed = list(sys.argv[1:] if argv is None else argv)
    # Arrow's own allocator keeps what the join of a long table gives back.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    code = _done(typed)
    if "WORLD_SIZE" in os.environ:  # started by torchrun or accelerate
        from foundation.tuning.processes import leave

        leave(code)
    return code


def _done(typed: Sequence[str]) -> int:
    from foundation.failures import say, told
    from foundation.signals import ending

    try:
        with ending():
            line = _answer(typed)
            if line is not None:
                if line:
                    say(line)
                return 0
            from foundation.application import run

            return run(typed)
    except BaseException as error:
        return told(error)


def _answer(typed: Sequence[str]) -> str | None:
    """What can be said without running anything."""
    if typed[:1] == ["--complete"]:
        from foundation.completion import candidates

        return "\n".join(candidates(typed[2:]))
    if "--help" in typed or "-h" in typed:
        from foundation.help import text

        return text()
    if "--version" in typed:
        from importlib.metadata import version

        return f"foundation {version('foundation-toolkit')}"
    if "--completion" in typed:
        from foundation.completion import script

        return script("".join(typed[typed.index("--completion") + 1 :][:1])).rstrip()
    if "task=models" in typed:
        from foundation.commands.models import answer

        return answer([word for word in typed if word != "task=models"])
    for task in ("devices", "leases", "status", "verify"):
        if f"task={task}" in typed:
            from importlib import import_module

            command = import_module(f"foundation.commands.{task}")
            return str(command.answer([word for word in typed if word != f"task={task}"]))
    return None
