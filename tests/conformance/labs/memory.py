"""A lab in this process's memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inference_provider.observed import Kind
from inference_provider.targets.memory import MemoryPlatform
from inference_provider.workspace.system_clock import SystemClock
from tests.conformance.callers import refused
from tests.conformance.labs.lab import Flight, Lab


class MemoryLab(Lab):
    gpu_count = 4

    @classmethod
    def open(cls, folder: Path) -> MemoryPlatform:
        return MemoryPlatform(cls.gpu_count, SystemClock())

    def __init__(self, platform, folder: Path, workspace: str) -> None:
        super().__init__(platform, folder, workspace)
        self.ports.compute.fails = lambda unit: (
            "told to fail" if "FAIL" in unit.spec.environment_variables else ""
        )

    def _send(self, endpoint: str, key: str, headers: dict[str, str]) -> int:
        found = next((e for e in self.router.endpoints if e.name == endpoint), None)
        if found is None:
            return 404
        if status := refused(found, key):
            return status
        if not found.weights:
            return 404
        there = self.ports.compute.instances()
        serving = [
            backend
            for deployment in found.deployments
            if found.weights.get(deployment.name)
            for backend in deployment.backends
            if backend
            in [b for i in there.get(f"{endpoint}/{deployment.name}", ()) for b in i.backends]
        ]
        return 200 if serving else 503

    def sets(self, variable: str, value: str) -> bool:
        [name] = self.target.record(self.of(Kind.DEPLOYMENT).id).admitted
        return self.ports.compute.injected[name].get(variable) == value

    def end(self, *names: str) -> None:
        self.ports.compute.ended.update(names)

    @contextmanager
    def in_flight(self) -> Iterator[Flight]:
        router = self.router.router
        busy_until_s = router.busy_until_s
        names = set(self.instances())
        there = self.ports.compute.instances()["iris/blue"]
        busy = {backend for instance in there for backend in instance.backends}
        router.busy |= busy
        busy_until_s["iris/blue"] = float("inf")

        def land() -> None:
            if not flight.status:
                flight.status = 200 if names <= set(self.instances()) else 503
                router.busy -= busy
                busy_until_s.clear()

        flight = Flight(land)
        try:
            yield flight
        finally:
            land()
