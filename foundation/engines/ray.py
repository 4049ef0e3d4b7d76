"""Actors of a Ray cluster, each holding a model; Ray places them, starts them and tells who died.

Ray Data is not used: which requests are answered is in the run folder's parts, written by the
driver alone, so a run goes on on any engine.
"""

import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from foundation.engines import RUN, Work, whole
from foundation.engines.actor import Actor, Remote
from foundation.engines.pool import Pool
from foundation.errors import FoundationError, InputError, MissingExtra, UnknownName
from foundation.results import Result

if TYPE_CHECKING:
    from foundation.adapter import Placement
    from foundation.requests import Item
    from foundation.spec import ModelSpec

LOOPBACK = "127.0.0.1"
ALONE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Without it a Ray that starts takes 127.0.0.1 for the machine's address, and listens on all."""
ANSWERS = 10.0
"""Seconds in which a cluster is to answer."""
KEYS = ("workers", "address", "bind", "cpus", "gpus", "resources", "autoscaling", *RUN)


@dataclass
class Ray:
    """`workers` actors, each with `cpus` cores, `gpus` GPUs and further resources by name.

    address: `auto`, `ray://...` or `host:port` of a cluster; None starts one on this machine, which
    listens on `bind`. autoscaling: wait for nodes that the cluster does not have yet.
    """

    workers: int
    cpus: float = 1
    gpus: float = 0
    resources: Mapping[str, float] = field(default_factory=dict)
    address: str | None = None
    bind: str = LOOPBACK
    autoscaling: bool = False
    name: str = "ray"
    _pool: Pool | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Ray":
        """The engine of the settings in conf/engine/ray.yaml; InputError for a wrong one."""
        for key in given:
            if key not in KEYS:
                raise UnknownName("setting", f"engine.{key}", [f"engine.{k}" for k in KEYS])
        chosen = {k: v for k, v in given.items() if v is not None and k not in RUN}
        workers = whole("workers", chosen.pop("workers", None))
        for key in ("cpus", "gpus"):
            value = chosen.get(key, 0)
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                raise InputError(f"engine.{key} must be a number of at least 0, got '{value}'")
        return cls(workers or 1, **chosen)

    def results(
        self,
        spec: "ModelSpec",
        placement: "Placement",
        work: Work,
        items: "Iterable[Item]",
        left: int | None,
        lost: "Callable[[Item, str], Result]",
        stop: Callable[[], bool],
        events: list[str],
    ) -> Iterator[Result]:
        """Results in the order they are done; a cluster that was started for them ends with it."""
        ray = _ray(self.address is None and self.bind == LOOPBACK)
        started = self._connect(ray)
        try:
            self._refuse_what_is_not_there(ray)
            share = max(1, int(self.cpus))
            placement = replace(placement, threads=share)
            if self.gpus:
                placement = replace(placement, device="cuda:0")  # Ray shows an actor its own only
            work = replace(work, folder=work.folder.absolute()).on(share)
            kind = ray.remote(Actor).options(
                num_cpus=self.cpus, num_gpus=self.gpus, resources=dict(self.resources) or None,
                max_restarts=0,
            )  # fmt: skip

            def start(_: int) -> Remote:
                return Remote(ray, kind.remote(spec, placement, work), partial(self._gone, ray))

            self._pool = Pool(start, self.workers, work.batch, left, lost, events)
            yield from self._pool.results(items, stop)
        finally:
            if started:
                ray.shutdown()

    def width(self) -> int | None:
        """The width of the model's vectors, once a worker has loaded it."""
        return None if self._pool is None else self._pool.width

    def described(self) -> dict[str, Any]:
        """What a record says of the engine."""
        settings = {"cpus": self.cpus, "gpus": self.gpus, "resources": dict(self.resources)}
        return {"name": self.name, "workers": self.workers, "address": self.address, **settings}

    def _connect(self, ray: Any) -> bool:
        """Connect, unless the caller is; whether the connection is ours to end."""
        if ray.is_initialized():
            return False
        quiet = {"log_to_driver": False, "logging_level": "error"}
        try:
            if self.address is None:
                ray.init(
                    address="local", include_dashboard=False, _node_ip_address=self.bind, **quiet
                )  # fmt: skip
            else:
                _reach(self.address)
                ray.init(address=self.address, **quiet)
        except (OSError, RuntimeError, ValueError) as error:
            first = getattr(error, "strerror", None) or str(error).partition("\n")[0]
            raise InputError(f"engine.address={self.address}: {first}") from error
        heard = ray.util.get_node_ip_address()
        if self.address is None and self.bind == LOOPBACK != heard:
            ray.shutdown()
            raise InputError(
                f"Ray was imported before and would listen on {heard}: set {ALONE}=0 before that, "
                f"or say engine.bind={heard}"
            )
        return True

    @property
    def _needs(self) -> dict[str, float]:
        return {"CPU": self.cpus, "GPU": self.gpus, **self.resources}

    @property
    def _wanted(self) -> str:
        return ", ".join(f"{name} {amount:g}" for name, amount in self._needs.items() if amount)

    def _fits(self, nodes: list[dict[str, float]]) -> bool:
        """Whether a worker fits on a node, or on one that the autoscaler may still start."""
        needs = self._needs.items()
        return self.autoscaling or any(
            all(node.get(name, 0) >= amount for name, amount in needs) for node in nodes
        )

    def _gone(self, ray: Any) -> None:
        """A worker whose node died before it was there is waited for by Ray for ever."""
        if not self._fits(_alive(ray)):
            raise FoundationError(
                f"no node of the Ray cluster is left that has {self._wanted} for a worker: "
                "go on with resume=<the run folder> once there is one"
            )

    def _refuse_what_is_not_there(self, ray: Any) -> None:
        """Ray waits for ever for a worker that fits on no node."""
        nodes = _alive(ray)
        if self._fits(nodes):
            return
        sums = {name: sum(node.get(name, 0) for node in nodes) for name in _names(nodes)}
        has = ", ".join(f"{name} {amount:g}" for name, amount in sums.items())
        raise InputError(
            f"no node of the cluster has {self._wanted} for a worker; "
            f"its {len(nodes)} nodes have {has}: ask for less (engine.gpus, engine.cpus), "
            "or say engine.autoscaling=true to wait"
        )


def _reach(address: str) -> None:
    """OSError where nobody answers at a host and port: Ray itself would wait for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():
        socket.create_connection((host, int(port)), timeout=ANSWERS).close()


def _alive(ray: Any) -> list[dict[str, float]]:
    """The resources of each node that is there."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _names(nodes: list[dict[str, float]]) -> list[str]:
    """The resources that are worth telling: not memory, not the nodes' own names."""
    names = dict.fromkeys(name for node in nodes for name in node)
    return [n for n in names if not n.startswith("node:") and "memory" not in n]


def _ray(alone: bool) -> Any:
    """The package; `alone`: what it starts is to be reached from this machine only."""
    if alone:
        os.environ.setdefault(ALONE, "0")  # read when it is imported
    try:
        import ray
    except ImportError:
        raise MissingExtra("ray", "ray") from None
    return ray
