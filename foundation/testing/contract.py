"""The tests that every adapter passes.

    import pytest
    from foundation.testing.contract import AdapterContract

    class TestMine(AdapterContract):
        task = "generate"
        given = {"temperature": 0.7}
        wrong = [{"temperature": -1}]

        @pytest.fixture
        def spec(self, tmp_path):
            return ModelSpec(..., source=f"path:{a tiny model of the architecture}")

The domain must be installed, as for any user.
"""

import gc
import math
import random
import sys
import tracemalloc
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from foundation import registry
from foundation.adapter import Adapter, Output, Placement, Steps
from foundation.draws import Draws
from foundation.errors import InputError, SourceError
from foundation.model import Model
from foundation.requests import Item, settings
from foundation.spec import ModelSpec
from foundation.stream import Stream

Outputs = dict[int, Output]
LARGE = 16 * 1024  # bytes; what is smaller are objects, not weights


class AdapterContract:
    """Subclass it, name the task, and override the fixture `spec`.

    given: the task's settings; they must make at least four requests, best of several keys.
    wrong: settings that must be refused before anything is loaded.
    unreadable: an item that the domain's reader or the model cannot use, or None where any can be.
    batch: rows of a batch, at least 2, fewer than the requests. seed: of the random numbers.
    drawn: whether another seed gives other results.
    placement: where it runs; a CPU in float32, so that results can be compared.
    """

    task: str
    given: ClassVar[Mapping[str, Any]] = {}
    wrong: ClassVar[Sequence[Mapping[str, Any]]] = ({"count": 0}, {"no_such_setting": 1})
    unreadable: Any = None
    batch = 3
    seed = 7
    drawn = False
    placement = Placement("cpu", "float32")

    @pytest.fixture
    def spec(self) -> ModelSpec:
        """A tiny model of the architecture, as its YAML would describe it."""
        raise NotImplementedError("override the fixture `spec`")

    @pytest.fixture
    def model(self, spec: ModelSpec) -> Iterator[Model]:
        model = Model(spec, self.placement)
        yield model
        model.close()

    @pytest.fixture
    def items(self, spec: ModelSpec) -> list[Item]:
        made = self.requests(spec)
        assert len(made) >= 4, "give settings that make at least four requests"
        return made

    def requests(self, spec: ModelSpec) -> list[Item]:
        """The requests that are compared: those of `given`, unless a subclass makes its own."""
        return list(settings(registry.domain(spec.domain), self.task, self.given).requests())

    def same(self, one: Any, other: Any) -> bool:
        """Whether two values are the same: discrete ones exactly, vectors at a cosine of .9999."""
        if isinstance(one, float) and isinstance(other, float):
            return math.isclose(one, other, rel_tol=1e-3, abs_tol=1e-4) or one != one != other
        if hasattr(one, "shape"):
            length = float((one.astype(float) ** 2).sum() * (other.astype(float) ** 2).sum()) ** 0.5
            return bool(float((one.astype(float) * other).sum()) >= 0.9999 * length)
        return bool(one == other)

    def test_a_request_alone_gives_what_it_gives_in_a_batch(
        self, model: Model, items: list[Item]
    ) -> None:
        together = self._outputs(model.adapter, items)
        for item in items:
            self._compare(self._outputs(model.adapter, [item]), together)

    def test_the_order_of_requests_does_not_matter(self, model: Model, items: list[Item]) -> None:
        forth = self._outputs(model.adapter, items)
        self._compare(self._outputs(model.adapter, items[::-1]), forth, len(items))

    def test_requests_of_one_key_may_share_a_batch(self, model: Model, items: list[Item]) -> None:
        mixed = self._outputs(model.adapter, items)
        apart: dict[Hashable, list[Item]] = defaultdict(list)
        for item in items:
            key = model.adapter.key(self.task, item.request)
            assert key == model.adapter.key(self.task, replace(item.request))
            apart[key].append(item)
        for some in apart.values():
            self._compare(self._outputs(model.adapter, some), mixed)
        # The core keeps keys apart; a batch of unlike requests of one key shows what key() forgot.
        for some in apart.values():
            for other in some[1:]:
                self._compare(self._outputs(model.adapter, [some[0], other]), mixed, 2)

    def test_only_draws_are_random(self, model: Model, items: list[Item]) -> None:
        _stir(1)
        once = self._outputs(model.adapter, items)
        _stir(2)
        self._compare(self._outputs(model.adapter, items), once, len(items))
        if self.drawn:
            stream = Stream(model.adapter, self.task, self.batch, self.seed + 1)
            other = {item.id: output for item, output in stream.outputs(items)}
            assert any(not self.same(other[i].value, once[i].value) for i in once)

    def test_a_run_that_was_stopped_and_resumed_equals_a_whole_one(
        self, spec: ModelSpec, tmp_path: Path
    ) -> None:
        whole = self._run(spec, tmp_path / "whole")
        count = len(whole)
        stops = iter([None] * (count // 2))
        self._run(spec, tmp_path / "parted", lambda: next(stops, 15))
        resumed = self._run(spec, tmp_path / "parted")
        assert [row["id"] for row in resumed] == list(range(count))
        for one, other in zip(resumed, whole, strict=True):
            assert one.keys() == other.keys()
            different = [name for name in one if not self._same_cell(one[name], other[name])]
            assert not different, (one, other)

    def test_a_row_that_is_done_leaves_before_the_others(
        self, model: Model, items: list[Item]
    ) -> None:
        adapter = model.adapter
        key = adapter.key(self.task, items[0].request)
        alike = [item for item in items if adapter.key(self.task, item.request) == key]
        slots = adapter.slots(self.task, key, len(alike)) if isinstance(adapter, Steps) else None
        if slots is None:
            pytest.skip("this task runs whole batches")
        for slot, item in enumerate(alike):
            slots.insert(slot, item.request, Draws(self.seed, [item.id]))
        finished: dict[int, int] = {}
        step = 0
        while len(finished) < len(alike):
            finished |= {slot: step for slot, _ in slots.step()}
            step += 1
        assert len(set(finished.values())) > 1, "give settings whose requests take unlike steps"

    def test_a_wrong_request_is_refused_before_loading(self, spec: ModelSpec) -> None:
        absent = replace(spec, source="path:/there/is/no/such/folder", revision=None)
        for wrong in self.wrong:
            with pytest.raises(InputError) as caught:
                Model(absent, self.placement).results(self.task, {**self.given, **wrong})
            assert not isinstance(caught.value, SourceError), f"{wrong} was seen after loading"
            assert len(str(caught.value).splitlines()) == 1

    def test_an_unreadable_input_becomes_a_row_with_its_reason(self, model: Model) -> None:
        if self.unreadable is None:
            pytest.skip("any input can be used")
        item = str(model.domain.tasks[self.task].item)
        plural = item if item.endswith("s") else f"{item}s"
        good = [row for row in self.given.get(plural, ()) if row is not None] or [None]
        given = {k: v for k, v in self.given.items() if k not in (item, plural)}
        given |= {plural: [good[0], self.unreadable], "count": 1}
        fine, bad = model.results(self.task, given, seed=self.seed).table().to_pylist()
        assert bad["valid"] is False
        assert bad["reason"]
        assert bad["input"] == str(self.unreadable)
        assert fine["reason"] != bad["reason"]

    def test_closing_gives_the_memory_back_and_it_can_be_loaded_again(
        self, spec: ModelSpec, items: list[Item]
    ) -> None:
        warm = Model(spec, self.placement)  # so that imports are not counted
        before_closing = self._outputs(warm.adapter, items)
        warm.close()
        tracemalloc.start()
        try:
            model = Model(spec, self.placement)
            _ = model.weights
            empty = _held()
            cost = model.adapter.cost(spec)
            loaded = _held() - empty
            self._compare(self._outputs(model.adapter, items), before_closing, len(items))
            model.close()
            left = _held() - empty
        finally:
            tracemalloc.stop()
        assert 0.8 * loaded <= cost.weights <= 1.2 * loaded, f"{cost} against {loaded} bytes held"
        assert left <= 0.1 * loaded, f"{left} of {loaded} bytes are still held"

    def _outputs(self, adapter: Adapter, items: Sequence[Item]) -> Outputs:
        stream = Stream(adapter, self.task, self.batch, self.seed)
        made = [(item.id, output) for item, output in stream.outputs(items)]
        assert sorted(i for i, _ in made) == sorted(item.id for item in items)
        return dict(made)

    def _compare(self, some: Outputs, all_of_them: Outputs, count: int | None = None) -> None:
        assert count is None or len(some) == count
        for number, output in some.items():
            other = all_of_them[number]
            assert self.same(output.value, other.value), (number, output, other)
            assert output.reason == other.reason
            assert output.extra.keys() == other.extra.keys()
            for name, value in output.extra.items():
                assert self.same(value, other.extra[name]), (number, name, output, other)

    def _run(self, spec: ModelSpec, folder: Path, stop: Any = lambda: None) -> list[dict[str, Any]]:
        model = Model(spec, self.placement)
        given = {**self.given, "batch": self.batch}
        results = model.results(self.task, given, seed=self.seed, folder=folder, stop=stop)
        try:
            made = list(results)
            if results.stopped is not None:
                assert len(made) < (results.total or math.inf), "it was to stop half-way"
                return []
            rows: list[dict[str, Any]] = results.table().to_pylist()
            return rows
        finally:
            results.run.close()
            model.close()

    def _same_cell(self, one: Any, other: Any) -> bool:
        if isinstance(one, list) and one and isinstance(one[0], float):
            import numpy as np

            return self.same(np.array(one), np.array(other))
        return self.same(one, other)


def _held() -> int:
    """Bytes held in large blocks by Python and numpy, and by the tensors of torch."""
    gc.collect()
    traces = tracemalloc.take_snapshot().traces
    held = sum(trace.size for trace in traces if trace.size >= LARGE)
    torch = sys.modules.get("torch")
    if torch is None:
        return held
    tensors = [each for each in gc.get_objects() if issubclass(type(each), torch.Tensor)]
    # A tensor packed for oneDNN has no storage that could be asked.
    packed: int = sum(each.nbytes for each in tensors if each.layout is torch._mkldnn)
    storages = [each.untyped_storage() for each in tensors if each.layout is not torch._mkldnn]
    sizes: dict[int, int] = {s.data_ptr(): s.nbytes() for s in storages}
    return held + packed + sum(sizes.values())


def _stir(seed: int) -> None:
    """Set the generators that an adapter must not use."""
    import numpy as np

    random.seed(seed)
    np.random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)
