"""Devices that each instance claims of a DeviceClass (dynamic resource allocation). Pure.

A generation has one ResourceClaimTemplate, of which Kubernetes makes a ResourceClaim for each pod
and removes it with the pod. What a claim asks for follows from the deployment alone, not from what
the cluster has: the template of a generation never changes.
"""

from collections.abc import Mapping

from inference_provider.gpus import words_of
from inference_provider.spec.gpus import GpuRequest
from inference_provider.targets.kubernetes.objects import Object
from inference_provider.targets.kubernetes.workloads import template_of

CLAIMED = "gpus"
"""Name of the claim in a pod, and of the request in the claim."""
PRODUCT = "productName"
"""Attribute of a device with its product, as the drivers of NVIDIA and AMD publish it."""


def template_spec(asked: GpuRequest, labels: Mapping[str, str]) -> Object:
    """Return the spec of a template; with its defaults, so that it can be compared."""
    selectors = [*asked.selectors, *([product_selector(asked.product)] if asked.product else ())]
    exactly = {
        "deviceClassName": asked.device_class,
        "allocationMode": "ExactCount",
        "count": asked.each,
        **({"selectors": [{"cel": {"expression": one}} for one in selectors]} if selectors else {}),
    }
    requests = [{"name": CLAIMED, "exactly": exactly}]
    return {"metadata": {"labels": dict(labels)}, "spec": {"devices": {"requests": requests}}}


def product_selector(product: str) -> str:
    """Write in CEL that all words of a product are in that of a device."""
    about = "device.attributes[device.driver]"
    words = (word.replace(".", "[.]") for word in words_of(product))
    name = f"{about}.{PRODUCT}.lowerAscii()"
    found = [f"{name}.matches('(^|[-_ ]){word}([-_ ]|$)')" for word in words]
    return " && ".join([f"'{PRODUCT}' in {about}", *found])


def claims_devices(workload: Object) -> bool:
    """Whether the pods of a generation claim devices."""
    return bool(template_of(workload)["spec"].get("resourceClaims"))
