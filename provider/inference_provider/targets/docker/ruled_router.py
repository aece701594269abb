"""The router of a workspace on a Docker host, with the workspace's service beside it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from inference_provider.errors import Interrupted, TargetError
from inference_provider.serving.image import ROUTER_FOLDER
from inference_provider.spec.logs import LogSettings
from inference_provider.spec.metrics import MetricsSettings
from inference_provider.targets.docker.autoscaler import Autoscaler
from inference_provider.targets.docker.companion import Companion
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.records import HostRecords
from inference_provider.targets.docker.router import DockerRouter, Endpoints
from inference_provider.targets.docker.web import Web
from inference_provider.targets.envoy.room import Said
from inference_provider.targets.envoy.spans import said_of_traces
from inference_provider.targets.log_tail import Position, Tail, read
from inference_provider.targets.request_counts import Cumulative
from inference_provider.targets.service_needs import logs_of, metrics_of, traces_of
from inference_provider.workspace.ports import Tell
from inference_provider.workspace.statuses import RouterStatus


class RuledRouter(DockerRouter):
    """Has the service run while it is needed, and tells of it."""

    def __init__(
        self,
        host: DockerHost,
        records: HostRecords,
        newest: Callable[[], str | None],
        autoscaler: Autoscaler,
        web: Web,
    ) -> None:
        super().__init__(host, records, newest)
        self.autoscaler = autoscaler
        self.web = web
        self._given: str | None = None

    def ensure_up(self, endpoints: Callable[[], Endpoints]) -> None:
        super().ensure_up(endpoints)
        for one in self._tend():
            one.wait()

    def publish(self, endpoints: Endpoints) -> None:
        self._tend()
        super().publish(endpoints)  # last: who raises has not changed what Envoy does

    def keep_rules(self) -> None:
        """Have the service run where it is needed. Raises TargetError if it cannot."""
        self.autoscaler.settle(self.listens().image)

    @contextmanager
    def given(self, socket: str | None, tell: Tell) -> Iterator[None]:
        """Have a publication fail where the service cannot run with a new engine_socket.

        It runs as before when the block raises. With the socket of before `tell` is told that it
        does not run.
        """
        self._given = None if self.autoscaler.names_already(socket) else socket
        try:
            yield
        except BaseException:
            self._given = None
            self._tend()
            raise
        finally:
            self._given = None
        with suppress(TargetError):  # the change is made, whatever this says
            for one in (self.autoscaler, self.web):
                one.wait()
                if missing := one.told().get("missing"):
                    tell(missing)

    def _tend(self) -> list[Companion]:
        """Have the service run, or go on without it: requests need it not, and status tells.

        Returns:
            Those that were started.
        """
        started: list[Companion] = []
        for one in (self.autoscaler, self.web):  # one may run though the other cannot
            try:
                if one.settle(self.listens().image):
                    started.append(one)
            except Interrupted:
                raise
            except TargetError:
                if self._given is not None and one.names_already(self._given):
                    raise
        return started

    def remove(self) -> None:
        self.autoscaler.remove()
        self.web.remove()
        super().remove()

    def status(self) -> RouterStatus:
        told = dict(self.autoscaler.told(self._is_taken))
        more = dict(self.web.told())
        if spans := said_of_traces(traces_of(self._state), self.statistics):
            more["beside"] = "; ".join(filter(None, (more.get("beside"), spans)))
        for field, text in more.items():
            told[field] = "; ".join(filter(None, (told.get(field), text)))
        return super().status().model_copy(update=told)

    def statistics(self, pattern: str) -> Mapping[str, Any]:
        """Return those of Envoy whose names match a regular expression."""
        found: Mapping[str, Any] = self._ask("statistics", pattern=pattern)
        return found

    def histograms(self, pattern: str) -> list[dict[str, Any]]:
        """Return those of Envoy whose names match, in detail; see `RouterAdmin.histograms`."""
        found: list[dict[str, Any]] = self._ask("histograms", pattern=pattern)
        return found

    def counted(self, pattern: str) -> tuple[Mapping[str, int], Cumulative]:
        """Return Envoy's counters, and its histograms cumulated; see `RouterAdmin.counted`."""
        counters, histograms = self._ask("counted", pattern=pattern)
        cumulated = {name: tuple(map(tuple, steps)) for name, steps in histograms.items()}
        return counters, cumulated

    def access_logs(self) -> Iterator[tuple[str, str]]:
        """Yield the containers that write calls, by the volume that these are in.

        One that is replaced ends after its last request, and its volume goes with it.
        """
        for one in self._listed():
            for mount in one["Mounts"]:
                if mount.get("Destination") == ROUTER_FOLDER:
                    yield str(mount["Name"]), str(one["Id"])

    def new_calls(self, container: str, known: Position | None, most: int, lines: int) -> Tail:
        """Return the lines of the access log of a container; see `new_lines`.

        Raises TargetError where it does not answer.
        """
        place = known and known.model_dump()
        return read(self._ask("new_calls", container, known=place, bytes=most, lines=lines))

    def disk_used(self) -> float:
        """Return how full the disk of the Engine's volumes is, in percent."""
        return float(self._ask("disk_used"))

    def waits(self, after: int = -1, wait_s: float = 0.0) -> Said | None:
        """Return what its agent says of requests that wait; see `Room.ask`."""
        with suppress(TargetError):  # it does not answer, or is of an older release
            return Said.model_validate(self._ask("waits", after=after, wait_s=wait_s))
        return None

    def _is_taken(self, port: int) -> bool:
        """Whether something listens on a port of the host's loopback, as far as it can be told."""
        with suppress(TargetError):
            return self._ask("free_port", host="127.0.0.1", ports=[port]) is None
        return True

    def logs(self) -> LogSettings | None:
        """Return what is declared of logs; None for nothing."""
        return logs_of(self._state)

    def metrics(self) -> MetricsSettings | None:
        """Return where what is measured goes; None where it goes nowhere."""
        return metrics_of(self._state)
