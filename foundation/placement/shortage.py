"""Which errors say that memory ran out, and giving back what can be given back."""

import gc
import sys
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

WORDS = (
    "allocate memory",  # torch on the CPU
    "out of memory",  # CUDA, HIP, MPS and cuBLAS in a RuntimeError
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "bad_alloc",
    "could not create a memory object",  # oneDNN
)


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that host or device memory ran out (torch is not imported)."""
    if isinstance(error, MemoryError) or type(error).__name__.endswith("OutOfMemoryError"):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in WORDS)


def fell_short(work: Callable[[], T]) -> tuple[T | None, Exception | None]:
    """What `work` gives, or the error that says memory ran out; any other error is raised.

    The frames of the failure are gone then, and with them the memory they held.
    """
    try:
        return work(), None
    except Exception as error:
        if not out_of_memory(error):
            raise
        error.__cause__ = error.__context__ = None
        return None, error.with_traceback(None)


def free_unused(young: bool = False) -> None:
    """Give memory that nothing holds back to the device and the system.

    young: look only at what was made lately, such as a failed batch, which is quick.
    """
    gc.collect(1 if young else 2)
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
