"""Devices of a driver that is none: the scheduler gives them to claims, and nothing comes of it."""

from typing import Any

from tests.cluster.api import Api
from tests.cluster.fake_nodes import FakeNodes, gpu_node

GROUP = "/apis/resource.k8s.io/v1"
DRIVER, CLASS = "gpus.tests.example", "whole.tests.example"


class Devices:
    """What a driver publishes."""

    def __init__(self, api: Api, fakes: FakeNodes) -> None:
        self._api, self._fakes = api, fakes
        self.paths: list[str] = []
        """Of what was made beside nodes."""

    def add(self, *nodes: tuple[str, str, int]) -> None:
        """Add nodes, each with so many devices of a product; device plugins give nothing."""
        self._fakes.add(*(gpu_node(name, "", 0) for name, _, _ in nodes))
        for name, product, count in nodes:
            attributes = {"productName": {"string": product}, "type": {"string": "gpu"}}
            devices = [{"name": f"gpu-{i}", "attributes": attributes} for i in range(count)]
            pool = {"name": name, "generation": 1, "resourceSliceCount": 1}
            spec = {"driver": DRIVER, "nodeName": name, "pool": pool, "devices": devices}
            self._make("ResourceSlice", f"{GROUP}/resourceslices", f"tests-{name}", spec)

    def add_class(self) -> None:
        expression = f"device.driver == '{DRIVER}' && device.attributes['{DRIVER}'].type == 'gpu'"
        spec = {"selectors": [{"cel": {"expression": expression}}]}
        self._make("DeviceClass", f"{GROUP}/deviceclasses", CLASS, spec)

    def _make(self, kind: str, path: str, name: str, spec: dict[str, Any]) -> None:
        about = {"apiVersion": "resource.k8s.io/v1", "kind": kind, "metadata": {"name": name}}
        self._api.create(path, {**about, "spec": spec})
        self.paths.append(f"{path}/{name}")
