"""How one of several processes that trained together ends."""

import os
import sys


def leave(code: int) -> None:
    """End this process with `code` at once, if it belongs to a group of torch.distributed.

    A thread of gloo may still let go of a gathered tensor, for which it needs Python's lock: in an
    interpreter that is ending it would abort the process, whose work was done (exit code -6).
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.distributed.is_initialized():
        return
    torch.distributed.destroy_process_group()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
