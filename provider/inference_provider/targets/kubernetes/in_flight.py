"""Requests in flight on a deployment, of all pods of a router: what an autoscaler asks one of.

Each pod knows its own. The one that is asked finds the others by the EndpointSlices of their
Service, and says nothing unless all have answered: a number without one of them would be too low,
and end instances that are needed.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import httpx

from inference_provider.errors import TargetUnreachable
from inference_provider.router.status import requests_on
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.fresh import Fresh
from inference_provider.targets.kubernetes.objects import SLICE, selector
from inference_provider.targets.kubernetes.router_manifests import METRICS_NAME
from inference_provider.targets.kubernetes.slices import SERVICE, instances_in
from inference_provider.targets.loopback import loopback_client

FRESH_S = 1.0
"""How long answers count: many deployments are asked about at a time."""
_ANSWERS_S = 2.0
_AT_ONCE = 8


class InFlight:
    """Those of one router.

    Args:
        client: The API of its cluster.
        namespace: That of its workspace.
        own: Returns those of this pod, by cluster.
        address: This pod's.
        transport: Reaches the others; in place of the network.
    """

    def __init__(
        self,
        client: Client,
        namespace: str,
        own: Callable[[], Mapping[str, int]],
        address: str,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._own = own
        self._address = address
        self._http = loopback_client(timeout_s=_ANSWERS_S, transport=transport)
        self._known = Fresh(self._asked)

    def on(self, deployment: str) -> int:
        """Return those on a deployment. Raises TargetError when not all pods have answered."""
        return sum(requests_on(deployment, counts) for counts in self._known.within(FRESH_S))

    def _asked(self) -> list[Mapping[str, int]]:
        others = sorted(set(self._addresses()) - {self._address})
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return [self._own(), *pool.map(self._of, others)]

    def _addresses(self) -> Iterator[str]:
        chosen = selector({SERVICE: METRICS_NAME})
        for found in instances_in(self._client.items(SLICE, self._namespace, chosen)).values():
            for instance in found:
                yield from (backend.host for backend in instance.backends)

    def _of(self, address: str) -> Mapping[str, int]:
        host = f"[{address}]" if ":" in address else address
        try:
            answer = self._http.get(f"http://{host}:{names.SYNC_PORT}/in-flight")
            answer.raise_for_status()
            found: Mapping[str, int] = answer.json()["requests"]
        except (httpx.HTTPError, ValueError, LookupError) as fault:
            what, reason = f"router pod at {address}", f"{type(fault).__name__}: {fault}"
            raise TargetUnreachable("ask", what, reason, "ask again") from fault
        return found
