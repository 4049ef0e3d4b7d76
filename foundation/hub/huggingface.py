"""A model on the Hub, through huggingface_hub and its own cache.

The token is huggingface_hub's business: nothing here reads it but to take it out of messages.
"""

import errno
import hashlib
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from foundation.errors import SourceError
from foundation.hub.cache import is_set, offline
from foundation.hub.redaction import redact
from foundation.hub.source import Damaged, Source
from foundation.hub.verify import refuse_only_pickles

COMMIT = re.compile(r"[0-9a-f]{40}")
ANSWER_TIMEOUT = 15.0
"""Seconds for the first question to the Hub; huggingface_hub alone would ask for half a minute."""


def snapshot(source: Source) -> tuple[Path, str]:
    """Bring the allowed files of `hub:<name>` and return their folder and commit.

    Raises SourceError in one line for a model that is gated, unknown or only pickles, a revision
    that is not there, a token that is refused, and a network that is down or switched off.
    """
    try:
        folder = _snapshot(source)
    except SourceError:
        raise
    except Exception as error:
        problem = _explain(error, source)
    else:
        return folder, folder.name
    # Raised out here so that the cause, whose text may quote a token, is not chained to it.
    raise SourceError(problem)


def check_blobs(folder: Path, files: Mapping[str, str], mend: str) -> None:
    """Compare verified files with what the Hub said they are.

    The cache names a blob by its etag: the sha256 of a large file, git's sha1 of a small one.
    Where the file system has no links there is nothing to compare, and only pinned digests hold.
    """
    for name, sha256 in files.items():
        path = folder / name
        if not path.is_symlink():
            continue
        etag = path.readlink().name
        found = _git_sha1(path) if len(etag) == 40 else sha256
        if len(etag) in (40, 64) and etag != found:
            raise Damaged(path, f"{path} is not the file the Hub sent (digest {etag[:12]}); {mend}")


def discard(path: Path) -> None:
    """Delete a file of the cache together with the blobs its links lead to."""
    while path.is_symlink():
        target = path.parent / path.readlink()
        path.unlink()
        path = target
    path.unlink(missing_ok=True)


def _snapshot(source: Source) -> Path:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    name = source.address.removeprefix("hub:")
    patterns = [*source.allow, *source.sha256]
    download = partial(snapshot_download, name, revision=source.revision, allow_patterns=patterns)
    if _offline_variable():
        return Path(download(local_files_only=True))
    if source.revision and COMMIT.fullmatch(source.revision):
        try:
            folder = Path(download(local_files_only=True))
        except LocalEntryNotFoundError:
            pass
        else:
            # Without the listing of the commit's files a cached folder may be partial.
            if (folder.parents[1] / "trees" / f"{source.revision}.json").is_file():
                return folder
    try:
        info = HfApi().model_info(name, revision=source.revision, timeout=ANSWER_TIMEOUT)
    except Exception as error:
        if not _is_network(error):
            raise
        return Path(download(local_files_only=True))
    refuse_only_pickles(source.address, [file.rfilename for file in info.siblings or []], source)
    with _quiet_unless_watched():
        return Path(download())


@contextmanager
def _quiet_unless_watched() -> Iterator[None]:
    """Show no progress bars where standard error is a file or a pipe."""
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if sys.stderr.isatty() or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _explain(error: Exception, source: Source) -> str:
    from huggingface_hub import constants, errors

    address = source.address
    page = f"{constants.ENDPOINT}/{address.removeprefix('hub:')}"
    status = _status(error)
    match error:
        case errors.GatedRepoError():
            return (
                f"{address} is gated: accept its conditions at {page} "
                "and set HF_TOKEN to a token of that account"
            )
        case errors.RevisionNotFoundError():
            revision = source.revision or "main"
            return f"{address} has no revision '{revision}': give one of its commits or tags"
        case errors.RepositoryNotFoundError():
            return (
                f"{address} is not on the Hub or is private: "
                "check the name, or set HF_TOKEN to a token that may read it"
            )
        case errors.HFValidationError():
            return f"'{address}' is no name on the Hub: write hub:<organisation>/<name>"
    if status in (401, 403):
        return f"the Hub refused the token for {address}: set HF_TOKEN to a valid one, or unset it"
    if status is not None:
        return f"the Hub answered {status} for {address}: try again later"
    if variable := _offline_variable():
        return (
            f"{address} is not complete on this machine and {variable}=1: "
            "bring it with task=fetch where there is a network"
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EACCES, errno.EROFS):
        return (
            f"cannot write the Hub's cache {constants.HF_HUB_CACHE}: {error.strerror}; "
            "free space, or set HF_HOME to a folder that can be written"
        )
    if _is_network(error):
        return (
            f"cannot reach the Hub for {address} and it is not complete on this machine: check the "
            "network, or bring it with task=fetch on a machine that has one"
        )
    text = next(iter(redact(str(error)).strip().splitlines()), "")
    return f"cannot bring {address}: {type(error).__name__}: {text}"


def _status(error: BaseException | None) -> int | None:
    """The HTTP status of an error or of what caused it."""
    while error is not None:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if isinstance(status, int):
            return status
        error = error.__cause__
    return None


def _is_network(error: Exception) -> bool:
    from huggingface_hub.errors import LocalEntryNotFoundError

    # The HTTP library has changed its name between versions of huggingface_hub; its tree has not.
    return isinstance(error, (ConnectionError, TimeoutError, LocalEntryNotFoundError)) or any(
        base.__name__ == "TransportError" for base in type(error).__mro__
    )


def _offline_variable() -> str | None:
    """The variable that keeps us off the Hub, if one does."""
    from huggingface_hub import constants

    if offline():
        return "FOUNDATION_OFFLINE"
    return "HF_HUB_OFFLINE" if constants.HF_HUB_OFFLINE or is_set("HF_HUB_OFFLINE") else None


def _git_sha1(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
