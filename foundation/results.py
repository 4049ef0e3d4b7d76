"""A result of one request, and the results of a run."""

import shutil
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.errors import InputError, Interrupted
from foundation.spec import EMPTY

if TYPE_CHECKING:
    import pandas
    import pyarrow

    from foundation.runs import Run


@dataclass(frozen=True)
class Result:
    """What became of request `id`; an invalid output stays, with its `reason`.

    output: the plain answer, a text; what the domain keeps as a file is its path once written.
    checks: the domain's columns. refused: the input could not be used at all. usage: seconds, bytes
    and units that the domain names.
    """

    id: int
    input: str | None
    output: Any
    valid: bool
    reason: str | None = None
    seed: int = 0
    model: str = ""
    revision: str | None = None
    checks: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    refused: bool = False
    usage: Mapping[str, float] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True)
class Summary:
    """How a run ended. made: rows, of which `valid` are valid; line: what the screen says last."""

    made: int
    valid: int
    folder: Path
    files: tuple[Path, ...]
    line: str


Begin = Callable[["ResultSet"], Iterator[Result]]
Finish = Callable[["ResultSet"], Summary]


class ResultSet:
    """The results of one run: iterable while it runs, a table when it is done.

    Every result is written to the run folder as it comes. Without a folder of the user's choice it
    is a temporary one, which `save` moves away and which is otherwise removed with the ResultSet.
    total: how many results there will be, where that is known. begin: makes the results that the
    run folder lacks; called again where it failed or was interrupted and the user goes on.

    >>> import foundation as fm
    >>> found = fm.load("molecule/starter").score(smiles=["CCO", "c1ccccc1O"])
    >>> found
    <ResultSet: 0 of 2 results so far>
    >>> found.to_pandas()["output"].tolist()
    ['CCO', 'Oc1ccccc1']
    """

    def __init__(
        self,
        run: "Run",
        begin: Begin,
        total: int | None,
        finish: Finish,
        view: Callable[["pyarrow.Table", Path], str] | None = None,
        text: "Callable[[pyarrow.Table], str] | None" = None,
        temporary: bool = False,
        summary: Summary | None = None,
    ) -> None:
        self.run, self.total = run, total
        self.stopped: int | None = None
        self.usage: dict[str, float] = {}
        self.events = run.events
        self.notes: list[str] = []
        self.cancelled: set[int] = set()
        self.began = time.perf_counter()
        self._begin, self._finish, self._view, self._text = begin, finish, view, text
        self._stream: Iterator[Result] | None = None
        self._ended = False
        if temporary:
            weakref.finalize(self, shutil.rmtree, run.folder, ignore_errors=True)
        self._summary = summary

    def __iter__(self) -> Iterator[Result]:
        """Results as they are done; what is yielded is written. A second pass reads the table."""
        if self._summary is not None or (self._ended and self.stopped is None):
            yield from self._read()
            return
        try:
            for result in self._results():
                self.run.append(result)
                for name, amount in result.usage.items():
                    self.usage[name] = self.usage.get(name, 0) + amount
                yield result
        finally:
            self.run.flush()

    def _results(self) -> Iterator[Result]:
        """What is left of the stream; a new one after one that failed or was interrupted."""
        while True:
            try:
                self._stream = self._stream or self._begin(self)
                result = next(self._stream, None)
            except BaseException:
                self._stream = None
                raise
            if result is None:
                self._ended = True
                return
            yield result

    def __len__(self) -> int:
        """How many there will be; TypeError where no one knows. list() asks before it begins."""
        if self._summary is not None:
            return self._summary.made
        if self.total is None:
            raise TypeError("how many results there will be is not known")
        return self.total

    def cancel(self, *requests: int) -> None:
        """Give requests up by their ids, also while the results are iterated in another thread.

        Each becomes a row with the reason "cancelled"; what is done stays as it is, and what is
        made of many parts goes on.
        """
        self.cancelled.update(requests)

    def finish(self) -> Summary:
        """Run to the end, join the parts, and write the domain's files and record.json."""
        if self._summary is None:
            if not self._ended:
                for _ in self:
                    pass
            if self.stopped is not None:
                raise Interrupted(self.stopped, self._how_to_go_on())
            self._summary = self._finish(self)
            self.run.close()
        return self._summary

    def table(self) -> "pyarrow.Table":
        """All results as an Arrow table, by id."""
        import pyarrow.parquet as pq

        return pq.read_table(self.finish().folder / "results.parquet")

    def to_pandas(self) -> "pandas.DataFrame":
        """All results as a pandas DataFrame, by id."""
        frame: pandas.DataFrame = self.table().to_pandas()
        return frame

    def save(self, folder: str | Path) -> Path:
        """Copy the run folder, with all its files, to a folder that is not there yet."""
        target = Path(folder).expanduser()
        if target.is_file() or (target.exists() and any(target.iterdir())):
            raise InputError(f"{target} is not empty: choose a new folder")
        shutil.copytree(self.finish().folder, target, dirs_exist_ok=True)
        return target

    def __repr__(self) -> str:
        if self._summary is None:
            made = len(self.run.done)
            return f"<ResultSet: {made} of {self.total or 'an unknown number of'} results so far>"
        rows = "" if self._text is None else f"\n{self._text(self.table())}"
        return f"<ResultSet: {self._summary.line}>{rows}"

    def _repr_html_(self) -> str | None:
        return None if self._view is None else self._view(self.table(), self.finish().folder)

    def _read(self) -> Iterator[Result]:
        from foundation.join import stored
        from foundation.table import to_results

        for batch in stored(self.finish().folder / "results.parquet"):
            yield from to_results(batch)

    def _how_to_go_on(self) -> str:
        of = f" of {self.total:,}" if self.total is not None else ""
        return (
            f"stopped: {len(self.run.done):,}{of} written; "
            f"go on with: foundation resume={self.run.folder}"
        )
