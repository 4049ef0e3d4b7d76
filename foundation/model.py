"""A model on a placement, and what can be asked of it."""

import gc
import json
import tempfile
import time
import warnings
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from foundation import registry
from foundation.adapter import Adapter, Placement
from foundation.asked import Asked
from foundation.draws import Draws
from foundation.engines import Engine, Work
from foundation.engines.ranges import Range
from foundation.errors import InputError, PlacementError, UnknownName
from foundation.placement.ladder import Ladder, placements, told
from foundation.placement.plan import Plan, leased, plan
from foundation.placement.shortage import fell_short, free_unused
from foundation.placement.spread import limit
from foundation.results import Result, ResultSet
from foundation.runs import Run, finished
from foundation.spec import Domain, ModelSpec

if TYPE_CHECKING:
    from foundation.hub.source import Local
    from foundation.mirror import Mirror
    from foundation.placement.leases import Lease
    from foundation.requests import Feed, Item, Settings

BATCH = 32
TUNED = "tuned.json"
_LOADED: "WeakValueDictionary[str, Model]" = WeakValueDictionary()


class Model:
    """A model of the registry; its weights are loaded when they are first needed.

    Each task of its spec is a method: `model.generate(count=10, seed=0)` returns a ResultSet.
    engine: where tasks run; None: in this process.
    """

    def __init__(self, spec: ModelSpec, placement: Placement, engine: Engine | None = None) -> None:
        self.spec, self.placement, self.engine = spec, placement, engine
        self._asked = placement
        self.domain: Domain = registry.domain(spec.domain)
        self.seconds: dict[str, float] = {}
        self._adapter: Adapter | None = None
        self._local: Local | None = None
        self._dtype = placement.dtype
        self._placements: list[Placement] = []  # the one it is loaded on, then what may be tried
        self._events: list[str] = []
        self._lease: Lease | None = None
        self.plan: Plan | None = None
        self.say: Callable[[str], None] = lambda words: None  # told of the wait for a lease

    @property
    def adapter(self) -> Adapter:
        """The loaded adapter; PlacementError where memory does not suffice to load it."""
        if self._adapter is None:
            self._take_lease()
            with _uncollected():
                self._load_where_it_fits()
        assert self._adapter is not None
        return self._adapter

    @property
    def adapter_class(self) -> type[Adapter]:
        """The class of the adapter, which tells what the model needs before it is loaded."""
        found: type[Adapter] = registry.resolve(self.spec.adapter)
        return found

    @property
    def loaded(self) -> Adapter | None:
        """The adapter, where it is loaded."""
        return self._adapter

    def rows(self, settings: "Settings") -> int:
        """Rows of a batch that a task's settings ask for, or the model's usual number."""
        return settings.batch or usual_batch(self.spec)

    def happened(self) -> list[str]:
        """What happened since it was last asked, for a run's record."""
        events, self._events = self._events, []
        return events

    def _plan(self, task: str, settings: "Settings") -> None:
        """Decide what a run begins with; PlacementError before anything is fetched or loaded."""
        placement = replace(self.placement, dtype=self.dtype)
        rows = self.rows(settings)
        # A pipe can be read but once: its requests are not looked at beforehand.
        seen = settings.requests() if settings.rereadable else iter(())
        self.plan = plan(self.spec, self.adapter_class, task, seen, rows, placement)
        if self.plan.rows < rows:
            self._events.append(f"the batch begins with {self.plan.rows}, which fits")

    def _load_where_it_fits(self) -> None:
        wanted = replace(self.placement, dtype=self.dtype)
        self._placements = placements(wanted, getattr(self.adapter_class, "offloads", ()))
        while fell_short(partial(self._load, self._placements[0]))[1] is not None:
            free_unused()
            if len(self._placements) == 1:
                raise PlacementError(f"memory does not suffice to load {self.spec.name}")
            self._placements.pop(0)
            self._events.append(f"out of memory: loading with {told(self._placements[0])}")

    def _load(self, placement: Placement) -> Adapter:
        """Load the adapter on a placement; one that was loaded is closed."""
        self._unload()
        began = time.perf_counter()
        limit(placement)
        adapter = self.adapter_class()
        adapter.load(self.spec, self.weights.path, placement)
        self._adapter = adapter
        self.seconds["load"] = time.perf_counter() - began
        return adapter

    def _take_lease(self) -> None:
        """Where a lease was asked for, wait for a device; it is held until `close`."""
        if self.placement.device != "lease" or self._lease is not None:
            return
        _ = self.weights  # fetched before, for nobody else can use the device meanwhile
        need = self.plan.peak or None if self.plan else self.adapter_class.cost(self.spec).peak(1)
        job = f"{self.spec.name} {self.plan.task if self.plan else ''}".strip()
        self.placement, self._lease = leased(self.placement, need, job, self.say)

    def _unload(self) -> None:
        if self._adapter is not None:
            self._adapter.close()
            self._adapter = None
            free_unused()

    @property
    def weights(self) -> "Local":
        """The verified files of the model."""
        if self._local is None:
            from foundation.hub import ALLOW, resolve

            self._local = resolve(
                self.spec.source,
                revision=self.spec.revision,
                sha256=self.spec.sha256,
                allow=self.spec.files or ALLOW,
            )
        return self._local

    @property
    def dtype(self) -> str:
        """The placement's dtype; "auto" is measured when it is first needed, and then kept."""
        if self._dtype == "auto":
            from foundation.placement.plan import likely
            from foundation.precision import fastest

            self._dtype = fastest(likely(self.placement.device))
        return self._dtype

    def results(
        self,
        task: str,
        given: Mapping[str, Any],
        *,
        seed: int = 0,
        folder: Path | None = None,
        config: Mapping[str, Any] | None = None,
        stop: Callable[[], int | None] = lambda: None,
        part: Range | None = None,
        trust: Mapping[str, Any] | None = None,
        output: str | None = None,
    ) -> ResultSet:
        """Begin or resume a run of a task; nothing is made before the ResultSet is iterated.

        given: the task's settings. seed: 0 to 2**64 - 1. folder: the run folder, a temporary one if
        None. config: recorded beside the settings. stop: asked between steps for a signal's number.
        part: the one range of the requests that is made, left in parts to be joined with others.
        trust: which screens look at the results, see foundation.trust.screens.chosen. output: an
        address (s3://...) that keeps a copy of the run folder, see foundation.mirror.
        """
        from foundation.requests import settings
        from foundation.trust.screens import chosen

        if task in self.domain.tasks and task not in self.spec.tasks:
            can = ", ".join(self.spec.tasks)
            raise InputError(f"{self.spec.name} cannot {task}: it can {can}")
        if task not in self.spec.tasks:
            raise UnknownName("task", task, self.spec.tasks, f"of {self.spec.name}")
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**64:
            raise InputError(f"seed must be a whole number from 0 to 2**64 - 1, got '{seed}'")
        self._check_deltas()
        screens = chosen(self.domain, trust or {})
        given = self._with_labels(task, given)
        made = settings(self.domain, task, given)
        if folder is not None:
            self._take_dtype_of(folder)
        self._plan(task, made)
        asked = Asked(self, task, given, made, seed, screens, part, config or {}, stop)
        identity, mirror = asked.identity(), _mirror(output, part)
        total, first = asked.total, asked.span.start
        place = folder or Path(tempfile.mkdtemp(prefix="foundation-"))
        run = Run(place, {}, identity, first, total, mirror)
        ended = finished(place)
        if ended is None and self.engine is None:
            run.columns = asked.columns()
        return ResultSet(
            run=run,
            begin=asked.begin,
            total=total,
            finish=asked.finish,
            view=None if self.domain.view is None else registry.resolve(self.domain.view),
            text=registry.resolve(self.domain.text or "foundation.views:text"),
            temporary=folder is None,
            summary=ended,
        )

    def stream(self, *, task: str = "generate", seed: int = 0, **given: Any) -> Iterator[str]:
        """One request's output in parts while it is made; nothing is written to a run folder.

        The parts joined are what the task gives of the same request and seed. Closing the iterator,
        or leaving its loop, cancels the request.
        """
        from foundation.adapter import Streams
        from foundation.requests import settings

        if task not in self.spec.tasks:
            raise UnknownName("task", task, self.spec.tasks, f"of {self.spec.name}")
        items = list(islice(settings(self.domain, task, given).requests(), 2))
        if len(items) != 1:
            raise InputError("stream takes one request: give one input")
        if items[0].request is None:
            raise InputError(str(items[0].reason))
        if not isinstance(self.adapter, Streams):
            raise InputError(f"{self.spec.name} cannot stream: use its task {task}")
        return self.adapter.pieces(task, items[0].request, Draws(seed, [0]))

    @property
    def tuned(self) -> dict[str, Any]:
        """What `task=tune` wrote beside the weights: the model they are of, and their labels."""
        folders = [delta.path for delta in self.spec.deltas]
        if self.spec.source.startswith("path:"):
            folders.insert(0, self.spec.source.removeprefix("path:"))
        found: dict[str, Any] = {}
        for folder in folders:
            path = Path(folder).expanduser() / TUNED
            if path.is_file():
                found |= json.loads(path.read_text(encoding="utf-8"))
        return found

    def _check_deltas(self) -> None:
        """LoRA weights are of one model: laid on another they would say nonsense."""
        of = self.tuned.get("source") if self.spec.deltas else None
        if of is not None and of != self.spec.source:
            raise InputError(
                f"{self.spec.deltas[-1].path} holds LoRA weights of {self.tuned['model']} ({of}), "
                f"not of {self.spec.name}: choose model={self.tuned['model']}"
            )

    def _with_labels(self, task: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """A tuned head has labels of its own, which hold unless others are asked for."""
        labels = self.tuned.get("labels")
        asked = any(given.get(name) is not None for name in ("labels", "examples"))
        if not labels or asked or task not in self.domain.tasks:
            return given
        request = registry.resolve(self.domain.tasks[task].request)
        return {**given, "labels": labels} if hasattr(request, "labels") else given

    def close(self) -> None:
        """Give the memory back; the next use loads the weights again."""
        self._unload()
        if self._lease is not None:
            self._lease.release()
            self._lease, self.placement = None, self._asked

    def __getattr__(self, task: str) -> Callable[..., ResultSet]:
        if task.startswith("_") or task not in self.spec.tasks:
            raise AttributeError(f"{type(self).__name__} '{self.spec.name}' has no task '{task}'")

        def call(
            *,
            seed: int = 0,
            folder: str | Path | None = None,
            trust: Mapping[str, Any] | None = None,
            **given: Any,
        ) -> ResultSet:
            output = folder if isinstance(folder, str) and "://" in folder else None
            place = Path(folder) if folder and not output else None
            return self.results(task, given, seed=seed, folder=place, trust=trust, output=output)

        return call

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.spec.tasks]

    def __repr__(self) -> str:
        return f"<Model {self.spec.name} on {self.placement.device}: {', '.join(self.spec.tasks)}>"

    def _take_dtype_of(self, folder: Path) -> None:
        """A resumed run goes on in the dtype that was measured when it began."""
        path = folder / "config.json"
        if self.placement.dtype == "auto" and path.is_file():
            before = json.loads(path.read_text(encoding="utf-8")).get("dtype")
            if before is not None and before != self._dtype:
                self.close()
                self._dtype = before

    def answers(
        self,
        work: Work,
        items: "Feed",
        stop: Callable[[], bool],
        events: list[str],
        cancelled: Container[int] = frozenset(),
    ) -> Iterator[Result]:
        """Results of items as they are done, checked and with what is too heavy kept as files."""
        from foundation.checking import Checker
        from foundation.stream import Stream
        from foundation.trust.screens import Screening

        screening = Screening(self.domain, work.screens)
        common = self._common(work)
        check = self.domain.tasks[work.task].check
        checker = Checker(check, work.checks, work.checkers, common)
        keep = None if self.domain.keep is None else registry.resolve(self.domain.keep)
        try:
            adapter = self.adapter
            events += self.happened()
            ladder = Ladder(adapter, work.batch, events, self._load, self._placements)
            stream = Stream(
                adapter, work.task, work.batch, work.seed, stop,
                lambda item: self.adapter.cost(self.spec, item.request).size, events,
                work.folder / "parts", ladder, cancelled=cancelled,
            )  # fmt: skip
            began, count = time.perf_counter(), 0
            for result in checker.results(stream.outputs(items)):
                count += 1
                result = screening(result)
                yield result if keep is None else keep(work.folder, result)
                if self._lease is not None and count == work.batch:
                    self._lease.settle()
            if self.plan is not None:
                self.plan.keep(count, time.perf_counter() - began)
        finally:
            checker.close()

    def _common(self, work: Work) -> dict[str, Any]:
        return {"seed": work.seed, "model": self.spec.name, "revision": self.revision}

    def lost(self, work: Work) -> "Callable[[Item, str], Result]":
        """What makes the row of a request that no worker survives."""
        common = self._common(work)

        def lost(item: "Item", reason: str) -> Result:
            return Result(item.id, item.input, None, valid=False, reason=reason, **common)

        return lost

    @property
    def revision(self) -> str | None:
        """The pinned revision, or the digest of the weights where there is none."""
        return self.spec.revision or self.weights.digest[:16]


def usual_batch(spec: ModelSpec) -> int:
    """Rows of a batch where the user says nothing."""
    return int(spec.options.get("batch", BATCH))


def _mirror(output: str | None, part: Range | None) -> "Mirror | None":
    if output is None:
        return None
    if part is not None:
        raise InputError(
            "engine.output is for whole runs: ranges are joined in a folder they share"
        )
    from foundation.mirror import Mirror

    return Mirror(output)


@contextmanager
def _uncollected() -> Iterator[None]:
    """The garbage collector waits: what imports make stays, and it looks through all of it often.

    Loading takes a sixth less time.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def load(
    name: str,
    *,
    placement: str | Mapping[str, Any] = "auto",
    engine: str | Mapping[str, Any] = "local",
    **overrides: Any,
) -> Model:
    """Load a model by the name the command line uses, `<domain>/<model>`.

    One that is loaded and was asked for in the same words is given back, so that a cell of a
    notebook may run again. `close` gives its memory back, as does the end of its last reference.
    engine: where tasks run, e.g. `{"workers": 2}`; such workers load it when they start.
    overrides: settings of its YAML, such as `path=<a tuned model's folder>`.

    >>> model = load("molecule/starter", placement={"name": "cpu", "dtype": "float32"})
    >>> model
    <Model molecule/starter on cpu: generate, embed, score, classify, predict>
    >>> found = model.score(smiles=["CCO", "C1CC"])
    >>> sorted((result.output, result.valid) for result in found)
    [('C1CC', False), ('CCO', True)]
    """
    from foundation.engines import engine as engine_of
    from foundation.placement import place

    # Without ipywidgets, tqdm, which the models' libraries bring, warns in a notebook's first cell.
    warnings.filterwarnings("ignore", message="IProgress not found")
    asked = json.dumps([name, placement, engine, overrides], sort_keys=True, default=str)
    if (model := _LOADED.get(asked)) is None:
        spec = registry.spec(name, **overrides)
        device = placement if isinstance(placement, str) else placement.get("device")
        model = Model(spec, place(placement, spec.dtype), engine_of(engine, str(device or "auto")))
        _LOADED[asked] = model
    if model.engine is None:
        _ = model.adapter
    return model
