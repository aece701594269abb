"""A workspace a test on each target, and what a test does to it that no person could.

Every lab runs the engine over its target's platform, with the router of each workspace watched:
a test sees what is published, and refuses or holds a publication.
"""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from inference_provider.desired import DesiredResource, resolve
from inference_provider.files import SourceFolder, with_content_hash
from inference_provider.gpus import Gpu
from inference_provider.observed import Actor, Kind, ResourceId
from inference_provider.router.table import Backend
from inference_provider.spec import (
    AutoscaleRuleSpec,
    EndpointSpec,
    RoleAssignmentSpec,
    StackSpec,
    TrafficSpec,
)
from inference_provider.spec.connection import ConnectionSpec
from inference_provider.workspace.engine import Engine
from inference_provider.workspace.state import State
from tests.conformance.watched import WatchedPlatform, WatchedRouter

ANN = Actor(user="ann", command="pytest")
BOB = Actor(user="bob", ci_job="build/7", command="pytest")
SERVER = Path(__file__).parents[1] / "serve.py"
SECTIONS = (
    *("records", "placeholders", "keys", "signing", "blueprints", "reservations", "instances"),
    *("credentials", "store_key"),
)
WAIT_S = 20.0
GPUS = tuple(Gpu(f"GPU-{i}", str(i), "Tesla T4") for i in range(4))


class Lab(ABC):
    """One workspace, not made yet, of one target."""

    gpu_count = 0
    router_follows = False
    """Whether the router serves what is recorded, also when nobody tells it."""
    soon_s = 6.0
    """Longest time for a change that waits for no request; far less than one may take to drain."""
    request_timeout_ms = 10_000
    connections = 1
    """How often a request tries to reach the router."""
    base_image: str | None = None
    router_port = 0
    server = SERVER
    """What its deployments run."""

    @property
    def runtime_image(self) -> str | None:
        """Image of the router's pods, for a target that builds none."""
        return None

    def __init__(self, platform, folder: Path, workspace: str) -> None:
        self.workspace = workspace
        self.folder = folder
        self.platform = WatchedPlatform(platform)
        self.target = Engine(self.platform)
        self.desired = self._stack()

    @classmethod
    @abstractmethod
    def open(cls, folder: Path):
        """Return a platform on which labs can be."""

    def measure(self) -> None:  # noqa: B027 - most targets need nothing for it
        """Have the target say what instances use, for rules."""

    def allow_rules(self) -> None:  # noqa: B027 - as above
        """Have the workspace allow what keeps rules; skip where each test of that is too slow."""

    def allow_alerts(self) -> None:  # noqa: B027 - as above
        """Have the workspace allow what watches alerts, before it is made."""

    def another(self) -> Engine:
        """Return a second target on the same state, as a second process has it."""
        return Engine(WatchedPlatform(self.platform.platform))

    def close(self) -> None:
        if self.platform.ports(self.workspace).records.exists():
            self.target.stop(self.workspace, ANN)
            self.platform.remove(self.workspace)

    # -- what is desired -----------------------------------------------------------------------

    def _stack(self) -> tuple[DesiredResource, ...]:
        """Return one endpoint with one deployment of a server that needs no packages."""
        code = self.folder / "code"
        code.mkdir(exist_ok=True)
        (code / "serve.py").write_bytes(self.server.read_bytes())
        (self.folder / "model.bin").write_bytes(b"weights")
        place, route = {"workspace": self.workspace}, {"path": "/", "port": 8080}
        routes = {f"{name}_route": route for name in ("liveness", "readiness", "scoring")}
        stack = StackSpec.model_validate(
            {
                "name": "demo",
                "workspaces": [
                    {
                        "name": self.workspace,
                        "target": self.target.capabilities.name,
                        "base_image": self.base_image,
                        "router_port": self.router_port,
                        "runtime_image": self.runtime_image,
                    }
                ],
                "models": [{**place, "name": "iris", "path": "model.bin"}],
                "environments": [
                    {
                        **place,
                        "name": "plain",
                        "command": ["python", "{code_dir}/serve.py", "{port}"],
                        "inference_config": routes,
                    }
                ],
                "endpoints": [{**place, "name": "iris"}],
                "deployments": [
                    {
                        **place,
                        "endpoint": "iris",
                        "name": "blue",
                        "model": "iris:1",
                        "environment": "plain:1",
                        "code_configuration": {"code": "code"},
                        "readiness_probe": {"initial_delay": 0, "period": 1, "timeout": 1},
                        "request_settings": {"request_timeout_ms": self.request_timeout_ms},
                        "start_timeout_s": 20,
                    }
                ],
                "traffic": [{**place, "endpoint": "iris", "traffic": {"blue": 100}}],
            }
        )
        folder = SourceFolder(self.folder)
        hashed = {
            listing: tuple(with_content_hash(spec, folder) for spec in getattr(stack, listing))
            for listing in ("models", "environments", "deployments")
        }
        return resolve(stack.model_copy(update=hashed), base_dir=str(self.folder))

    def id(self, kind: Kind, name: str) -> ResourceId:
        return ResourceId(kind=kind, workspace=self.workspace, name=name)

    def of(self, kind: Kind) -> DesiredResource:
        return next(resource for resource in self.desired if resource.id.kind == kind)

    def space(self, **fields) -> DesiredResource:
        workspace = self.of(Kind.WORKSPACE)
        return workspace.model_copy(update={"spec": _with(workspace.spec, fields)})

    def endpoint(self, name: str = "iris", **fields) -> DesiredResource:
        spec = EndpointSpec(workspace=self.workspace, name=name, **fields)
        return DesiredResource(id=self.id(Kind.ENDPOINT, name), spec=spec, owner="demo")

    def deployment(self, name: str = "blue", endpoint: str = "iris", **fields) -> DesiredResource:
        blue = self.of(Kind.DEPLOYMENT)
        spec = _with(blue.spec, {"name": name, "endpoint": endpoint, **fields})
        id_ = self.id(Kind.DEPLOYMENT, f"{endpoint}/{name}")
        return blue.model_copy(update={"id": id_, "spec": spec})

    def blue(self, **fields) -> DesiredResource:
        """Return deployment blue with amounts, of which a rule counts shares."""
        can = self.target.capabilities
        if can.resource_limits or can.amounts_asked:
            cpu = "100m" if can.resource_limits else "2"  # where no limit holds it to that
            fields = {"resources": {"requests": {"cpu": cpu}}, **fields}
        return self.deployment(**fields)

    def rule(self, **fields) -> DesiredResource:
        """Return an autoscale rule of blue that wants fewer instances only after an hour."""
        asked = {"targets": [{"metric": "CpuUtilizationPercentage", "target": 90}]}
        place = {"workspace": self.workspace, "endpoint": "iris", "deployment": "blue"}
        slow = {"scale_in": {"stabilization_s": 3600}}
        spec = AutoscaleRuleSpec.model_validate({**place, **asked, **slow, **fields})
        return DesiredResource(
            id=self.id(Kind.AUTOSCALE_RULE, "iris/blue"), spec=spec, owner="demo"
        )

    def connection(self, name: str = "hub", owner: str = "demo", **fields) -> DesiredResource:
        spec = ConnectionSpec.model_validate({"workspace": self.workspace, "name": name, **fields})
        return DesiredResource(id=self.id(Kind.CONNECTION, name), spec=spec, owner=owner)

    def secrets_reader(self, endpoint: str = "iris") -> DesiredResource:
        """Return what lets an endpoint's own identity read the secrets of all connections."""
        spec = RoleAssignmentSpec(
            workspace=self.workspace,
            name="reads",
            principal=f"endpoints/{endpoint}",
            role="Connection Secrets Reader",
        )
        return DesiredResource(id=self.id(Kind.ROLE_ASSIGNMENT, "reads"), spec=spec, owner="demo")

    def with_secrets(self, deployment: DesiredResource) -> tuple[DesiredResource, ...]:
        """Return all but the workspace, with a deployment that may read secrets as its own."""
        more = {Kind.DEPLOYMENT: (self.secrets_reader(), deployment)}
        return tuple(one for old in self.desired[1:] for one in more.get(old.id.kind, (old,)))

    def traffic(self, endpoint: str = "iris", **shares: int) -> DesiredResource:
        spec = TrafficSpec(workspace=self.workspace, endpoint=endpoint, traffic=shares)
        return DesiredResource(id=self.id(Kind.TRAFFIC, endpoint), spec=spec, owner="demo")

    def rollout(self, *, on_alarm: str = "revert", **shares: int) -> DesiredResource:
        """Return a split of endpoint iris that is reached by 10 % and 50 % of the way."""
        steps = [{"share": 10, "bake_minutes": 10}, {"share": 50, "bake_minutes": 30}]
        alarms = [{"metric": "ErrorRate", "above": 5}]
        spec = TrafficSpec.model_validate(
            {
                **{"workspace": self.workspace, "endpoint": "iris", "traffic": shares},
                "rollout": {"steps": steps, "alarms": alarms, "on_alarm": on_alarm},
            }
        )
        return DesiredResource(id=self.id(Kind.TRAFFIC, "iris"), spec=spec, owner="demo")

    # -- what is done --------------------------------------------------------------------------

    def apply(self, *desired: DesiredResource, target: Engine | None = None) -> None:
        for resource in desired:
            (target or self.target).apply(resource, ANN)

    def up(self) -> None:
        """Apply the whole stack."""
        self.apply(*self.desired)

    def delete(self, resource: ResourceId) -> None:
        self.target.delete(resource, "demo", ANN)

    def scale(self, count: int) -> None:
        """Have blue as large as its rule's metrics ask for."""
        if self.ports.compute.replaces_instances:
            pytest.skip("this target measures for itself")
        self.target.scaling(self.workspace, ANN).scale(self.blue().id, count)

    # -- what is there -------------------------------------------------------------------------

    @property
    def ports(self):
        return self.platform.ports(self.workspace)

    @property
    def router(self) -> WatchedRouter:
        return self.ports.router

    @property
    def state(self) -> State:
        return State(self.ports.records)

    def documents(self) -> dict[str, dict[str, bytes]]:
        """Return everything that is written down."""
        return {section: dict(self.ports.records.section(section)) for section in SECTIONS}

    def journal(self) -> list[str]:
        return [f"{e.action} {e.id.kind} {e.id.name}" for e in self.ports.records.journal()]

    def admitted(self, deployment: str = "iris/blue") -> tuple[Backend, ...]:
        """Return the addresses of the instances that the record admits."""
        record = self.target.record(self.of(Kind.DEPLOYMENT).id)
        there = self.ports.compute.instances().get(deployment, ())
        serving = [i for i in there if record and record.admits(i.name, i.generation)]
        return tuple(backend for instance in serving for backend in instance.backends)

    def instances(self, deployment: str = "iris/blue") -> dict[str, str]:
        """Return the generation of each instance by its name, leftovers too."""
        found = self.ports.compute.status().instances.get(deployment, ())
        return {instance.name: instance.generation for instance in found}

    def keys(self, endpoint: str = "iris") -> tuple[str, str]:
        found = self.target.observe_one(self.id(Kind.ENDPOINT, endpoint)).secret_outputs
        return found["primary_key"].get_secret_value(), found["secondary_key"].get_secret_value()

    def ask(self, endpoint: str = "iris", key: str | None = None) -> int:
        """Return the status with which the router answers a request."""
        return self._send(endpoint, self.keys(endpoint)[0] if key is None else key, {})

    def sets(self, variable: str, value: str) -> bool:
        """Whether the instance that answers has a variable of this value."""
        asked = {"x-variable": f"{variable}={value}"}
        return self._send("iris", self.keys()[0], asked) == 200

    def finds(self, path: str) -> bool:
        """Whether the instance that answers finds a file; $MODEL is the folder of its model."""
        return self._send("iris", self.keys()[0], {"x-exists": path}) == 200

    def asks_to_touch(self, path: Path) -> int:
        """Return the status of a request for which each that gets it makes a file."""
        return self._send("iris", self.keys()[0], {"x-touch": str(path)})

    def has_touched(self, path: Path) -> bool:
        """Whether an instance has made a file."""
        return self._is_there(path)

    @property
    def router_url(self) -> str:
        """Where this process reaches the router."""
        return self.router.address().url

    def _send(self, endpoint: str, key: str, headers: dict[str, str]) -> int:
        url = f"{self.router_url}/endpoints/{endpoint}/score"
        asked = {"authorization": f"Bearer {key}", **headers}
        transport = httpx.HTTPTransport(retries=self.connections - 1)
        limit = httpx.Timeout(30, connect=30 / self.connections)
        with httpx.Client(transport=transport, timeout=limit, trust_env=False) as client:
            return client.post(url, headers=asked).status_code

    @contextmanager
    def in_flight(self) -> Iterator["Flight"]:
        """Keep a request of endpoint iris in flight until `Flight.land`."""
        until, key = self.signals / f"land-{self.workspace}", self.keys()[0]
        flight = Flight(lambda: self._touch(until))
        headers = {"x-until": str(until)}

        def send() -> None:
            try:
                flight.status = self._send("iris", key, headers)
            except httpx.TransportError:
                flight.status = 502  # its instance ended

        thread = threading.Thread(target=send)
        thread.start()
        try:
            wait_until(lambda: self._is_there(until.with_name(f"{until.name}.got")))
            yield flight
        finally:
            self._touch(until)
            thread.join()

    @property
    def signals(self) -> Path:
        """Folder that instances see, in which files tell them what to do."""
        return self.folder

    def _touch(self, path: Path) -> None:
        path.touch()

    def _is_there(self, path: Path) -> bool:
        return path.exists()


class Flight:
    """A request in flight."""

    def __init__(self, land: Callable[[], None]) -> None:
        self.status = 0
        self.land = land


def wait_until(question: Callable[[], object], limit_s: float = WAIT_S) -> None:
    """Wait until something is so."""
    until = time.monotonic() + limit_s
    while not question():
        assert time.monotonic() < until, "it did not become so"
        time.sleep(0.005)


def together(*calls: Callable[[], object]) -> list[BaseException | None]:
    """Make calls at the same time; return what each raised."""
    raised: list[BaseException | None] = [None] * len(calls)
    gate = threading.Barrier(len(calls))

    def run(number: int) -> None:
        gate.wait()
        try:
            calls[number]()
        except BaseException as fault:  # noqa: BLE001 - the test looks at it
            raised[number] = fault

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def _with(spec, fields):
    """Return a spec with other fields, checked as if they were written in a file."""
    plain = {name: getattr(spec, name) for name in type(spec).model_fields}
    return type(spec).model_validate({**plain, **fields})
