"""Instance types: what an instance gets, by name. Pure.

Goes in: a deployment, and the types of its workspace. Comes out: the same deployment with the
amounts of its type among its resources, which is all that anything else reads.
"""

from collections.abc import Mapping
from typing import Annotated, TypeVar, cast

from pydantic import Field, model_validator

from inference_provider.errors import Fault, at_most
from inference_provider.spec.azure_sizes import AZURE_SIZES
from inference_provider.spec.base import SpecModel
from inference_provider.spec.deployment import BatchDeploymentSpec, DeploymentSpec
from inference_provider.spec.gpus import (
    NVIDIA,
    DeviceClassName,
    DeviceSelectors,
    GpuProduct,
    GpuResource,
    device_class_fault,
    gpu_request,
)
from inference_provider.spec.resources import Cpu, GpuCount, Memory, Resources

TypeName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][-_.a-zA-Z0-9]{0,63}$")]


class InstanceType(SpecModel):
    """What each instance of a type gets; nothing is said of what is left out."""

    cpu: Cpu | None = None
    """Cores: `0.5`, `500m`."""
    memory: Memory | None = None
    """Bytes: `512Mi`, `4Gi`."""
    gpu: GpuCount | None = None
    """Whole GPUs."""
    gpu_resource: GpuResource = NVIDIA
    """Whose GPUs, as a cluster names them: `amd.com/gpu`."""
    gpu_product: GpuProduct | None = None
    """Only GPUs of this product: words of the name that `nvidia-smi -L` prints."""
    device_class: DeviceClassName | None = None
    """A DeviceClass of the cluster, whose devices `gpu` counts."""
    device_selectors: DeviceSelectors = ()
    """Which devices of the class will do: CEL over `device`."""

    @model_validator(mode="after")
    def _one_way_to_get_gpus(self) -> "InstanceType":
        if fault := device_class_fault(
            self.device_class, self.device_selectors, self.gpu_resource, {}
        ):
            raise ValueError(fault)
        return self


_Deployment = TypeVar("_Deployment", bound=DeploymentSpec | BatchDeploymentSpec)


def sized(deployment: _Deployment, own: Mapping[str, InstanceType]) -> _Deployment:
    """Return a deployment with the amounts of its type, where it names none itself.

    Args:
        deployment: One whose type is unknown is returned as it is (`type_fault`).
        own: The types of its workspace.
    """
    found = _type_named(deployment.instance_type, own)
    if found is None:
        return deployment
    resources = _with(deployment.resources, found)
    return cast("_Deployment", deployment.model_copy(update={"resources": resources}))


def type_fault(
    deployment: DeploymentSpec | BatchDeploymentSpec, own: Mapping[str, InstanceType]
) -> Fault | None:
    """Return what is wrong with the type of a deployment; names those that there are."""
    asked = deployment.instance_type
    of_type = _type_named(asked, own)
    if asked is not None and of_type is None:
        names = [*sorted(own), *(name for name in AZURE_SIZES if name not in own)]
        reason = f"no instance type '{asked}' in workspace '{deployment.workspace}'"
        remedy = "declare it in the workspace's instance_types, or use one of: "
        return Fault("instance_type", reason, remedy + ", ".join(at_most(names)))
    resources = sized(deployment, own).resources
    if gpu_request(resources.model_dump()) is None:
        remedy = "add limits: {gpu: 1}, or leave it out"
        for field in ("gpu_product", "device_class"):
            if getattr(resources, field):
                return Fault(f"resources.{field}", "no GPU is asked for", remedy)
            asks_none = resources.limits.gpu == 0  # and means it
            if of_type and getattr(of_type, field) and not (of_type.gpu or asks_none):
                reason = f"'{asked}' has {field}, and no GPU is asked for"
                return Fault("instance_type", reason, "add gpu to the type, or limits: {gpu: 1}")
    return None


_SIZES = {name.lower(): size for name, size in AZURE_SIZES.items()}
"""Azure compares their names without case."""


def _type_named(name: str | None, own: Mapping[str, InstanceType]) -> InstanceType | None:
    if name is None or name in own:
        return own.get(name or "")
    size = _SIZES.get(name.lower())
    if size is None:
        return None
    return InstanceType(
        cpu=str(size.cores),
        memory=f"{size.memory_gib:g}Gi",
        gpu=size.gpus or None,
        gpu_product=size.gpu_product or None,
    )


def _with(resources: Resources, of_type: InstanceType) -> Resources:
    amounts = (resources.limits, resources.requests)
    more = {
        name: getattr(of_type, name)
        for name in ("cpu", "memory")
        if all(getattr(one, name) is None for one in amounts)
    }
    chosen = resources.gpu_devices or resources.mig or resources.gpu_share
    also = {}
    if not chosen and all(one.gpu is None for one in amounts):
        more["gpu"] = of_type.gpu
        if not resources.device_class:
            also["gpu_resource"] = of_type.gpu_resource
    limits = resources.limits.model_copy(update=more)
    whole = resources.model_copy(update={"limits": limits, **also})
    asked = gpu_request(whole.model_dump())
    if asked is None or asked.devices or asked.mig:
        return whole
    particular: dict[str, object] = {}
    if not asked.product:
        particular["gpu_product"] = of_type.gpu_product
    if (
        of_type.device_class
        and asked.resource == NVIDIA
        and not (asked.device_class or asked.share)
    ):
        particular["device_class"] = of_type.device_class
        particular["device_selectors"] = of_type.device_selectors
    return whole.model_copy(update=particular)
