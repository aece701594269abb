"""An OpenTelemetry collector of this machine, which pods reach by a name of the cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from inference_provider.targets.kubernetes.objects import Object
from tests import cluster_host
from tests.cluster.api import Api, path_of
from tests.cluster.places import LINK_HERE, ours
from tests.collector import Collector, Named, named
from tests.ports import own_port

PORT = 4318


class Away:
    """A collector that comes and goes, at one address."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.now: Collector | None = None
        self.every: list[Collector] = []
        self._port = own_port()
        name = f"collector-{self._port}"
        self.address = f"http://{LINK_HERE}:{self._port}"
        self.url = f"http://{name}.{namespace}:{PORT}"
        about: Object = {"name": name, "namespace": namespace}
        service = {"ports": [{"port": PORT, "targetPort": self._port}]}
        self.objects: tuple[Object, ...] = (
            {"apiVersion": "v1", "kind": "Service", "metadata": about, "spec": service},
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {**about, "labels": {"kubernetes.io/service-name": name}},
                "addressType": "IPv4",
                "endpoints": [{"addresses": [LINK_HERE]}],
                "ports": [{"port": self._port}],
            },
        )
        api.apply(*self.objects)

    def comes(self) -> Collector:
        self.now = Collector(self._port, LINK_HERE)
        self.every.append(self.now)
        return self.now

    def rows(self, table: str) -> list[Named]:
        """Return the attributes of all logs of a table that came, with their texts as `body`."""
        logs = [log for one in self.every for log in [*one.logs]]
        rows = [{**named(log.attributes), "body": log.body.string_value} for log in logs]
        return [row for row in rows if row["Type"] == table]

    def goes(self) -> None:
        if self.now:
            self.now.end()
        self.now = None


@contextmanager
def collecting(api: Api, namespace: str) -> Iterator[Away]:
    """Yield one that is away."""
    if Path(cluster_host.KUBECONFIG) != ours().kubeconfig:
        pytest.skip("pods of another cluster may not reach this machine")
    found = Away(api, namespace)
    try:
        yield found
    finally:
        found.goes()
        api.delete(*map(path_of, found.objects))
