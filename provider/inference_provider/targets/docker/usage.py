"""What instances on a Docker host use of its processors and its memory, as its Engine counts it."""

import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from inference_provider.errors import TargetError
from inference_provider.targets.docker import names
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.samples import Spent, Used

_AT_ONCE = 8
_WITHOUT_WAIT = (1, 41)
"""Which API tells what was used so far, without measuring for a second."""


class ContainerUsage:
    """Asks for instances of one workspace, by their names."""

    def __init__(
        self, host: DockerHost, workspace: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._host = host
        self._selecting = names.selecting(workspace, names.INSTANCE)
        self._clock = clock
        self._spent: dict[str, Spent] = {}

    def __call__(self, wanted: Collection[str]) -> Mapping[str, Used]:
        """Return what instances use; without those that do not run."""
        listed = filter(names.is_instance, self._host.containers(self._selecting))
        ids = {names.of(one): str(one["Id"]) for one in listed if one["State"] == "running"}
        asked = {name: ids[name] for name in wanted if name in ids}
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            told = dict(zip(asked, pool.map(self._told, asked.values()), strict=True))
        self._spent = {
            name: self._spent[name] if self._is_known(name, asked[name]) else Spent(asked[name])
            for name in asked
        }
        return {name: self._used(name, one) for name, one in told.items() if _is_whole(one)}

    def _is_known(self, name: str, container: str) -> bool:
        return name in self._spent and self._spent[name].first == container

    def _told(self, container: str) -> Mapping[str, Any]:
        with suppress(TargetError), self._host.asked("ask", f"container {container}") as api:
            version = tuple(int(part) for part in str(api.api_version).split("."))
            more = {"one_shot": True} if version >= _WITHOUT_WAIT else {}
            found: Mapping[str, Any] = api.stats(container, stream=False, **more)
            return found
        return {}

    def _used(self, name: str, told: Mapping[str, Any]) -> Used:
        memory = told["memory_stats"]
        cached = memory.get("stats", {})
        idle = cached.get("inactive_file", cached.get("total_inactive_file", 0))
        spent_s = told["cpu_stats"]["cpu_usage"]["total_usage"] / 10**9
        cores = self._spent[name].cores(self._clock(), spent_s)
        return Used(cores, max(memory["usage"] - idle, 0))


def _is_whole(told: Mapping[str, Any]) -> bool:
    """Whether a container runs; of one that has ended the Engine says zeros, or nothing."""
    return (
        "usage" in told.get("memory_stats", {}) and "total_usage" in told["cpu_stats"]["cpu_usage"]
    )
