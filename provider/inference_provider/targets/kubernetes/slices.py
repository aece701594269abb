"""EndpointSlices -> where the pods of each generation are reached. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from inference_provider.router.table import Backend
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.objects import Object, labels_of
from inference_provider.workspace.statuses import Instance

SERVICE = "kubernetes.io/service-name"
"""Label of the Service whose pods a slice lists; it has the name of their Deployment."""
_FAMILIES = ("IPv4", "IPv6")
"""Kinds of addresses, the preferred one first; a pod of two families has a slice in each."""


def instances_in(slices: Iterable[Object]) -> dict[str, tuple[Instance, ...]]:
    """Return one instance for each Deployment of a generation, by `<endpoint>/<deployment>`.

    It has the addresses of the pods that take requests: that are ready and were not told to end.

    Args:
        slices: EndpointSlices of instances; they have the labels of their Service.
    """
    services: dict[str, list[Object]] = {}
    for one in slices:
        if SERVICE in labels_of(one) and one.get("addressType") in _FAMILIES:
            services.setdefault(labels_of(one)[SERVICE], []).append(one)
    found: dict[str, tuple[Instance, ...]] = {}
    for name in sorted(services):
        about = labels_of(services[name][0])
        deployment, generation = names.deployment_of(about), about.get(names.GENERATION, "")
        instance = Instance(name, generation, _backends(services[name]))
        found[deployment] = (*found.get(deployment, ()), instance)
    return found


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
