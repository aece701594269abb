"""The workspace service of a cluster, in a pod of its own: one more client of its workspace.

It changes nothing but what others could change too, under the same locks, so its end at any moment
loses nothing, and two of it for a moment make no step twice. How alerts stand lies in the cluster.
The platform keeps autoscale rules, and each router pod serves its own metrics.
"""

import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from inference_provider.observed import Actor
from inference_provider.secret_stores.opened import open_store
from inference_provider.service.alert_place import place_of
from inference_provider.service.alerting import PERIOD_S as ALERTS_S
from inference_provider.service.alerting import Alerting
from inference_provider.service.canaries import Canaries
from inference_provider.service.event_age import PERIOD_S as EVENTS_S
from inference_provider.service.event_age import EventAge
from inference_provider.service.log_export import LogExport
from inference_provider.service.looking import Keeper, look
from inference_provider.spec.logs import LogSettings
from inference_provider.spec.target import KubernetesPlace
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.alert_amounts import goes_by_amounts
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.kept_alerts import STATES_BYTES, KeptAlerts
from inference_provider.targets.kubernetes.kept_sent import KeptSent
from inference_provider.targets.kubernetes.kubeconfig import access
from inference_provider.targets.kubernetes.log_sources import MOST, LogSources
from inference_provider.targets.kubernetes.meter import ClusterPlace, admitted_pods
from inference_provider.targets.kubernetes.objects import POD, selector
from inference_provider.targets.kubernetes.pod_counts import PodCounts
from inference_provider.targets.kubernetes.router_manifests import POD_IP
from inference_provider.targets.kubernetes.service_probes import Probes
from inference_provider.targets.kubernetes.target import KubernetesPlatform
from inference_provider.targets.meter import WorkspaceMeter
from inference_provider.targets.service_needs import logs_of
from inference_provider.workspace.engine import Engine
from inference_provider.workspace.kept_alerts import Rules
from inference_provider.workspace.measured import Running
from inference_provider.workspace.state import State

PERIOD_S, IDLE_S = 1.0, 3.0
"""Between two looks at splits: while one moves, and while none does."""
_LOGS_S = 5.0
"""Between two looks at where logs go."""
_END_S = 20.0
"""Longest wait at the end for what a collector is being told: the kubelet waits for half a minute.
What it takes meanwhile need not be sent again."""
SPLITS, ALERTS, LOGS, EVENTS = "splits", "alerts", "logs", "events"
"""What is looked at again and again, each in a loop of its own."""


def run(workspace: str) -> None:
    """Serve one workspace until the pod is to end: what is begun then is finished."""
    namespace = access(None).namespace
    platform = KubernetesPlatform(KubernetesPlace(kind="kubernetes", namespace=namespace))
    platform.router(workspace).is_the_service = True
    engine = Engine(platform)
    engine.open_store = open_store
    ends = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_given: ends.set())
    everywhere = "::" if ":" in os.environ.get(POD_IP, "") else "0.0.0.0"
    probes = Probes(everywhere, names.PROBES_PORT)
    threading.Thread(target=probes.serve_forever, daemon=True).start()

    kept = KeptAlerts(platform.client, namespace, workspace)
    rules = partial(engine.alert_rules, workspace)
    alerts = Alerts(rules, lambda: _alerting(engine, platform, workspace, kept))
    watch = partial(keep, ALERTS, alerts, probes, ends, lambda: ALERTS_S)
    # once how they stand is written, that shows when nobody looks any more
    watch = partial(watch, tells=lambda: kept.is_written)
    threading.Thread(target=watch, daemon=True).start()
    sending = _logs(platform, workspace, kept)
    logs = threading.Thread(target=keep, args=(LOGS, sending, probes, ends, sending.pause_s))
    logs.start()
    age = EventAge(
        lambda: sending.settings,
        lambda days: kept.expire(datetime.now(UTC) - timedelta(days=days)),
    )
    aging = partial(keep, EVENTS, age, probes, ends, lambda: EVENTS_S)
    threading.Thread(target=aging, daemon=True).start()
    canaries = mover(engine, platform, workspace, kept)
    keep(SPLITS, canaries, probes, ends, lambda: PERIOD_S if canaries.any_moves else IDLE_S)
    logs.join(_END_S)
    sending.end()


def mover(
    engine: Engine, platform: KubernetesPlatform, workspace: str, kept: KeptAlerts
) -> Canaries:
    """Return what moves splits by what all pods of the router have counted."""
    return Canaries(
        engine,
        workspace,
        PodCounts(platform.client, workspace, platform.namespace(workspace)),
        actor=Actor(user=workspace, command="rollout"),
        unreadable=partial(engine.unreadable_rollouts, workspace),
        tell=kept.tell_now,
    )


def keep(
    what: str,
    keeper: Keeper,
    probes: Probes,
    ends: threading.Event,
    pause_s: Callable[[], float],
    *,
    tells: Callable[[], bool] = lambda: False,
) -> None:
    """Look at something again and again, until the process is to end.

    Args:
        what: What it is, for the kubelet.
        keeper: Looks.
        probes: Told when, and whether that went well.
        ends: Set when the process is to end.
        pause_s: Returns the time until the next look.
        tells: Whether a look that failed is told elsewhere.
    """
    said = ""
    while not ends.is_set():
        probes.looks(what)
        said = look(keeper, said)
        probes.looked(what, is_well=not said or tells())
        ends.wait(pause_s())


class Alerts:
    """Watches alerts once any is declared.

    Args:
        rules: Returns which are. It raises TargetError.
        opened: Returns what watches them. It raises TargetError.
    """

    def __init__(self, rules: Callable[[], Rules], opened: Callable[[], Keeper]) -> None:
        self._rules = rules
        self._opened = opened
        self._alerting: Keeper | None = None

    def look(self) -> None:
        """Look once, if there is anything to look at; see `Alerting.look`."""
        if self._alerting is None and self._rules():
            self._alerting = self._opened()
        if self._alerting is not None:
            self._alerting.look()


class Sending:
    """Sends logs while they are declared.

    Args:
        declared: Returns what is. It raises TargetError.
        opened: Returns what sends them. It raises TargetError.
    """

    def __init__(
        self, declared: Callable[[], LogSettings | None], opened: Callable[[], LogExport]
    ) -> None:
        self._declared, self._opened = declared, opened
        self._export: LogExport | None = None
        self._next_s = float("-inf")
        self._pause_s = _LOGS_S
        self.settings: LogSettings | None = None
        """What is declared, as of a moment ago."""

    def look(self) -> None:
        """Send what is new, if logs are sent; see `LogExport.look`."""
        if time.monotonic() >= self._next_s:
            self.settings = self._declared()
            self._next_s = time.monotonic() + _LOGS_S
        sends = self.settings is not None and self.settings.otlp_endpoint is not None
        if sends and self._export is None:
            self._export = self._opened()
        self._pause_s = _LOGS_S
        if self._export is not None:
            left_s = self._export.look()
            self._pause_s = left_s if sends else _LOGS_S

    def pause_s(self) -> float:
        """Return the time until the next look."""
        return self._pause_s

    def end(self) -> None:
        """Write down how far they were sent."""
        if self._export is not None:
            self._export.end()


def _logs(platform: KubernetesPlatform, workspace: str, kept: KeptAlerts) -> Sending:
    """Return what sends logs, from where the service before has left off."""
    client, where = platform.client, (platform.namespace(workspace), workspace)
    state = State(platform.ports(workspace).records)

    def opened() -> LogExport:
        following = Client(client.access, attempts=1, connections=MOST)
        sources = LogSources(client, following, *where, kept)
        return LogExport(sources, lambda: sending.settings, KeptSent(client, *where), workspace)

    sending = Sending(partial(logs_of, state), opened)
    return sending


def _alerting(
    engine: Engine, platform: KubernetesPlatform, workspace: str, kept: KeptAlerts
) -> Alerting:
    """Return what watches alerts, from where the service before has left them."""
    client, namespace = platform.client, platform.namespace(workspace)
    file = Path(tempfile.gettempdir(), "alerts.json")
    file.write_text(kept.begin())  # that of another pod has gone with it

    state = State(platform.ports(workspace).records)
    chosen = selector(names.selecting(workspace, names.INSTANCE))

    def measured() -> tuple[Running, ...]:
        """Return the pods of instances, where an alert goes by what they use."""
        if not goes_by_amounts(engine.alert_rules(workspace)):
            return ()
        return admitted_pods(state, client.items(POD, namespace, chosen))

    meter = WorkspaceMeter(ClusterPlace(client, workspace, namespace), measured)
    place = place_of(
        engine,
        workspace,
        meter=meter,
        file=file,
        tell=kept.tell,
        also=kept.write,
        most_bytes=STATES_BYTES,
    )
    return Alerting(place)
