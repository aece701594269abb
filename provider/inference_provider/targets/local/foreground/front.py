"""The router before a deployment in the foreground: the generated one, with one endpoint.

Routes, limits, timeouts, headers and errors are as `up` makes them; its callers have one key.
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from inference_provider.desired import DesiredResource
from inference_provider.errors import NotReady
from inference_provider.observed import Actor, Kind, Record, ResourceId
from inference_provider.router.build import Builder
from inference_provider.router.table import Backend, EndpointEntry, RouterTable
from inference_provider.targets.envoy.delivery import Delivery
from inference_provider.targets.envoy.log_bound import ACCESS_LOG_BYTES, bound_log
from inference_provider.targets.envoy.serving import Serving
from inference_provider.targets.local.foreground.choice import Choice
from inference_provider.targets.local.foreground.process import ForegroundProcess

_START_LIMIT_S = 20.0
_POLL_S = 0.05
_ACTOR = Actor(user="", command="inferctl serve")
_LONGEST_MS = 180_000
"""Azure ML's longest request timeout."""


class Front:
    """Envoy in a folder of its own, as a child of this process.

    Args:
        folder: Its own; the paths of its sockets must be short.
        host: Address of this machine that it listens on.
        port: Its port; free.
        metrics_port: Another free port of 127.0.0.1.
        key: What its callers prove themselves with.
        patient: Whether requests may take Azure ML's longest time, whatever is declared.
    """

    def __init__(
        self,
        folder: Path,
        *,
        host: str,
        port: int,
        metrics_port: int,
        key: SecretStr,
        patient: bool,
    ) -> None:
        self._listens = RouterTable(
            folder=str(folder), host=host, port=port, metrics_port=metrics_port
        )
        self._key, self._patient = key, patient
        self._delivery = Delivery(folder, workers=1)
        self._serving = Serving(self._delivery, lambda: self._listens, lambda: not self.ended())
        self._envoy: ForegroundProcess | None = None

    def ended(self) -> str:
        """Say how Envoy ended; empty while it runs, and before it was started."""
        return self._envoy.ended() if self._envoy else ""

    def show(self, choice: Choice, backend: Backend | None) -> None:
        """Send requests to one instance; where there is none, they are answered 503.

        Raises:
            NotReady: Envoy does not start, or does not find the instance healthy.
        """
        entries = self._entries(choice, backend)
        if self._envoy is None:
            self._serving.write(entries)
            self._start()
        else:
            self._serving.publish(entries)
        if backend:
            self._serving.wait_healthy({choice.name: 1})

    def tidy(self) -> None:
        """Keep its access log small."""
        bound_log(self._delivery.folder / "access.log", ACCESS_LOG_BYTES)

    def end(self, wait_s: float) -> None:
        """End it; requests in flight are cut off."""
        if self._envoy:
            self._envoy.end(wait_s)

    def _start(self) -> None:
        envoy = ForegroundProcess(self._delivery.command(), self._delivery.folder)
        try:
            self._wait_ready(envoy)
        except BaseException:
            envoy.end(0)
            raise
        self._envoy = envoy

    def _wait_ready(self, envoy: ForegroundProcess) -> None:
        until_s = time.monotonic() + _START_LIMIT_S
        while not self._delivery.is_ready():
            ended, late = envoy.ended(), time.monotonic() > until_s
            if ended or late:
                reason = ended or f"not ready within {_START_LIMIT_S:.0f} s"
                raise NotReady("start", "the router", reason, "its output above says why")
            time.sleep(_POLL_S)

    def _entries(self, choice: Choice, backend: Backend | None) -> tuple[EndpointEntry, ...]:
        name, endpoint = choice.deployment.spec.name, choice.endpoint.id
        settings = choice.deployment.properties["request_settings"]
        if self._patient:
            settings = {**settings, "request_timeout_ms": _LONGEST_MS}
        split = endpoint.model_copy(update={"kind": Kind.TRAFFIC})
        records = (
            _record(choice.endpoint, {"auth_mode": "key", "allowed_source_ranges": None}),
            _record(choice.deployment, {"request_settings": settings}),
            _recorded(split, {"traffic": {name: 100}}),
        )
        return Builder().endpoints(
            records,
            keys=lambda _endpoint: (self._key, self._key),
            jwks=lambda _endpoint: None,
            backends=lambda _deployment: (backend,) if backend else (),
            environment=lambda _pinned: choice.environment.spec,
        )


def _record(desired: DesiredResource, changes: Mapping[str, Any]) -> Record:
    return _recorded(desired.id, {**desired.properties, **changes})


def _recorded(resource: ResourceId, properties: Mapping[str, Any]) -> Record:
    now = datetime.now(UTC)
    return Record(id=resource, owner="", properties=dict(properties), actor=_ACTOR, time=now)
