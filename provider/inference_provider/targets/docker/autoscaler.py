"""The container with the service of a workspace on a Docker host.

It keeps autoscale rules, moves splits that are on their way, watches alerts, and has metrics and
logs go where the workspace declares it. It runs in no network, or in the host's while it has to
send or serve something, since the page and most collectors are on that one's loopback. When it
ends, counts and splits stay as they are. Its name is from when it did nothing but keep rules.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from inference_provider.errors import TargetError
from inference_provider.spec.metrics import MetricsSettings
from inference_provider.targets.docker import names
from inference_provider.targets.docker.archive import packed
from inference_provider.targets.docker.companion import FOLDER, Companion, Making
from inference_provider.targets.docker.containers import endings_of, is_running
from inference_provider.targets.event_log import events_in, log_of
from inference_provider.targets.rule_faults import read
from inference_provider.targets.sent_logs import described
from inference_provider.targets.sent_logs import read as read_sent
from inference_provider.targets.service_needs import Needs, days_of, needs_of
from inference_provider.workspace.alert_states import States, notes_of
from inference_provider.workspace.alert_states import read as read_alerts
from inference_provider.workspace.endings import keeps_dying, restarts
from inference_provider.workspace.kept_alerts import unreadable_in
from inference_provider.workspace.statuses import Event

DECISIONS, FAULTS = "decisions.jsonl", "faults.json"
METRICS = "metrics.json"
"""File with what keeps metrics from going somewhere: sentences."""
SENT_LOGS = "sent_logs.json"
"""File with how far logs have been sent."""
CONTAINERS = "/run/containers"
"""Where it has the Engine's folder of containers, while logs are sent."""
ALERTS = "alerts.json"
"""File with how alerts stand, and what their webhooks are still to be told."""
_START_LIMIT_S = 20
_MODULE = "inference_provider.service"
"""By its name: it stands on targets."""


class Autoscaler(Companion):
    """Makes and removes it, and reads what it writes down; see `Companion`."""

    role = names.AUTOSCALER
    lock = "service"  # as older releases call it
    name_of = staticmethod(names.autoscaler)

    def _is_needed(self) -> bool:
        return bool(self._needs())

    def _needs(self) -> Needs:
        ages = days_of(self._state, "events") > 0
        return replace(needs_of(self._state), ages=ages)

    def _making(self) -> Making:
        needs = self._needs()
        return Making(
            f"the {needs.name} of workspace '{self._workspace}'",
            ("-m", _MODULE, "docker", self._workspace),
            _network(needs),
            {names.SENDS_LOGS: _sends_logs(needs)},
            (self._logs(),) if needs.logs else (),
        )

    def _logs(self) -> dict[str, Any]:
        from docker.types import Mount  # noqa: PLC0415 - as in `library.py`

        source = f"{self._host.folder}/containers"
        mount: dict[str, Any] = Mount(CONTAINERS, source, type="bind", read_only=True)
        # what is mounted below, such as shared memory, is none of it
        mount["BindOptions"] = {"NonRecursive": True}
        return mount

    def _fits(self, there: Mapping[str, Any]) -> bool:
        needs = needs_of(self._state)
        reads = there["Labels"].get(names.SENDS_LOGS, "") == _sends_logs(needs)
        return reads and bool(there["HostConfig"]["NetworkMode"] == _network(needs))

    def _before_another(self) -> None:
        if not needs_of(self._state).alerts and not unreadable_in(self._state):
            self._forget_alerts()

    def _forget_alerts(self) -> None:
        """Have nothing of alerts that are gone outlive it: others may have their names later."""
        empty = packed({ALERTS: b"{}"})
        for one in self._ids():
            asked = "end", f"container {one}"
            with suppress(TargetError), self._host.asked(*asked) as api:  # it may have ended
                api.kill(one)  # first: it would write them down again
            with suppress(TargetError):  # somebody removes it too
                self._host.put_files(one, FOLDER, empty)

    # -- what it says --------------------------------------------------------------------------

    def told(self, is_taken: Callable[[int], bool] = lambda _port: True) -> Mapping[str, Any]:
        """Return what the status of the workspace's router says of it: fields of RouterStatus.

        `is_taken` says whether something listens on a port of the host's loopback.
        """
        needs = self._needs()
        if not needs:
            return {}
        with suppress(TargetError):  # of a record that cannot be read nothing is known
            if not self._socket():
                why = "the workspace names no engine_socket"
                return {"missing": f"no {needs.name} runs, because {why}: {needs.lost}"}
        container = self._container()
        if container is None or not is_running(container):
            why = f"; its last start failed: {fault}" if (fault := self._fault()) else ""
            return {"missing": f"the {needs.name} does not run: {needs.lost}{why}"}
        ended = restarts(endings_of(container), _START_LIMIT_S, int(time.time() // 60))
        if keeps_dying(ended):
            state = f"ends again and again: {needs.lost}; it says: {self._said(container)}"
            return {"missing": f"the {needs.name} {state}"}
        sent = [*self._said_of_metrics(needs.metrics, is_taken)] if needs.metrics else []
        if needs.logs:
            sent.append(described(needs.logs, read_sent(self._file(SENT_LOGS, b"{}"))))
        alerts = notes_of(self.alerts(), datetime.now(UTC)) if needs.alerts else {}
        unkept = self._unkept() if needs.rules else {}
        return {"beside": needs.running(sent), "unkept": unkept, "alerts": alerts}

    def _said_of_metrics(
        self, declared: MetricsSettings, is_taken: Callable[[int], bool]
    ) -> Iterator[str]:
        """Say where metrics are served, and what keeps them from going somewhere."""
        with suppress(ValueError):
            if faults := json.loads(self._file(METRICS, b"[]")):
                yield from map(str, faults)
                return
        if declared.port:
            verb = "" if is_taken(declared.port) else "start "
            yield f"metrics {verb}on 127.0.0.1:{declared.port}"

    def alerts(self) -> States:
        """Return how alerts stand, as it has written it down; nothing while it is not there."""
        return read_alerts(self._file(ALERTS, b"{}"))

    def events(self) -> Iterator[Event]:
        """Yield what happened to endpoints, as it has written it down, oldest first."""
        now = log_of(Path(FOLDER))
        files = self._files(str(now.parent))
        lines = chain(*(files.get(name, b"").splitlines() for name in (f"{now.name}.1", now.name)))
        for event in events_in(lines):
            with suppress(ValueError):  # of a newer release
                yield Event.model_validate(event)

    def _unkept(self) -> dict[str, str]:
        """Return why rules are not kept, by deployment."""
        faults = read(self._file(FAULTS, b"{}"))
        return {name: str(one) for name, one in faults.items()}

    def decisions(self) -> Iterator[str]:
        """Yield the lines of its log, oldest first."""
        files = self._files(FOLDER)
        for name in (f"{DECISIONS}.1", DECISIONS):
            yield from files.get(name, b"").decode("ascii", errors="replace").splitlines()


def _network(needs: Needs) -> str:
    return "host" if needs.connects else "none"


def _sends_logs(needs: Needs) -> str:
    return "yes" if needs.logs else ""
