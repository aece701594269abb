"""EndpointSlices -> where the pods of each generation are reached. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from inference_provider.router.table import Backend
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.objects import Object, labels_of, name_of, version_of
from inference_provider.workspace.statuses import Instance

SERVICE = "kubernetes.io/service-name"
"""Label of the Service whose pods a slice lists; it has the name of their Deployment."""
_Version = tuple[str, str]
"""Name of a slice, and the version of what it says."""
_FAMILIES = ("IPv4", "IPv6")
"""Kinds of addresses, the preferred one first; a pod of two families has a slice in each."""


def instances_in(slices: Iterable[Object]) -> dict[str, tuple[Instance, ...]]:
    """Return one instance for each Deployment of a generation, by `<endpoint>/<deployment>`.

    It has the addresses of the pods that take requests: that are ready and were not told to end.

    Args:
        slices: EndpointSlices of instances; they have the labels of their Service.
    """
    return Reached().instances(slices)


class Reached:
    """Reads slices again and again, of which few have changed since the last time."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[list[_Version], str, Instance]] = {}

    def instances(self, slices: Iterable[Object]) -> dict[str, tuple[Instance, ...]]:
        """Return what `instances_in` does."""
        services: dict[str, list[Object]] = {}
        for one in slices:
            if SERVICE in labels_of(one) and one.get("addressType") in _FAMILIES:
                services.setdefault(labels_of(one)[SERVICE], []).append(one)
        self._read = {name: self._known(name, services[name]) for name in sorted(services)}
        found: dict[str, tuple[Instance, ...]] = {}
        for _, deployment, instance in self._read.values():
            found[deployment] = (*found.get(deployment, ()), instance)
        return found

    def _known(self, service: str, slices: list[Object]) -> tuple[list[_Version], str, Instance]:
        versions = [(name_of(one), version_of(one)) for one in slices]
        known = self._read.get(service)
        if known is not None and known[0] == versions:
            return known
        about = labels_of(slices[0])
        generation = about.get(names.GENERATION, "")
        instance = Instance(service, generation, _backends(slices))
        return versions, names.deployment_of(about), instance


def _backends(slices: list[Object]) -> tuple[Backend, ...]:
    family = min((str(one["addressType"]) for one in slices), key=_FAMILIES.index)
    backends = {
        Backend(host=endpoint["addresses"][0], port=port["port"])
        for one in slices
        if one["addressType"] == family
        for port in (one.get("ports") or ())[:1]
        for endpoint in one.get("endpoints") or ()
        if _takes_requests(endpoint.get("conditions") or {})
    }
    return tuple(sorted(backends, key=lambda backend: (backend.host, backend.port)))


def _takes_requests(conditions: Mapping[str, Any]) -> bool:
    """Whether a pod is ready, or serves, and does not end; what is not said is true."""
    if conditions.get("terminating"):
        return False
    return conditions.get("ready") is not False or conditions.get("serving") is True
