"""A stack file -> Pulumi resources.

Goes in: the path of a stack file. Comes out: one resource per item, owned by the stack that the
file names, so that `inferctl` and Pulumi can take over each other's work. They are declared in the
order in which they are created; what depends on what is found out as for any program.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pulumi
from pydantic import SecretStr

from inference_provider.desired import DesiredResource, resolve
from inference_provider.errors import Fault, SpecError
from inference_provider.files import load_stack
from inference_provider.handlers.state_keys import PLACEHOLDERS_KEY
from inference_provider.observed import Kind, ResourceId
from inference_provider.spec import SpecModel
from inference_provider.spec.base import COMPUTED, LOCAL_PATH
from inference_provider.spec.fields import marked
from inference_provider.spec.kinds import ROWS
from pulumi_inference.assets import Environment, Model
from pulumi_inference.base import InferenceResource, secret_arguments
from pulumi_inference.identity import Identity, RoleAssignment
from pulumi_inference.serving import AutoscaleRule, Deployment, Endpoint, Traffic
from pulumi_inference.workspace import Connection, Workspace

_CLASS_OF_KIND: Mapping[Kind, Any] = {
    Kind.WORKSPACE: Workspace,
    Kind.CONNECTION: Connection,
    Kind.MODEL: Model,
    Kind.ENVIRONMENT: Environment,
    Kind.IDENTITY: Identity,
    Kind.ENDPOINT: Endpoint,
    Kind.ROLE_ASSIGNMENT: RoleAssignment,
    Kind.DEPLOYMENT: Deployment,
    Kind.TRAFFIC: Traffic,
    Kind.AUTOSCALE_RULE: AutoscaleRule,
}


class Declared(dict[str, InferenceResource]):
    """The resources of a stack file by `Kind/workspace/name`."""

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        """Endpoints by `workspace/name`."""
        return {
            address.partition("/")[2]: resource
            for address, resource in self.items()
            if isinstance(resource, Endpoint)
        }


def declare(path: str) -> Declared:
    """Declare everything in a stack file.

    Args:
        path: The file, relative to the program's folder; paths in it are relative to its own.

    Returns:
        The resources, endpoints among them.

    Raises:
        SpecError: With every fault in the file.
    """
    stack = load_stack(Path(path))
    base_dir = os.path.relpath(Path(path).resolve().parent)
    declared, desired = Declared(), resolve(stack, base_dir)
    _refuse_other_kinds(desired, path)
    for resource in desired:
        declared[resource.id.address] = _CLASS_OF_KIND[resource.id.kind](
            _resource_name(resource.id),
            **{**_arguments(resource.spec, base_dir), **_parents(resource, declared)},
            stack=stack.name,
            opts=pulumi.ResourceOptions(transformations=_with_placeholders(resource)),
        )
    return declared


def _refuse_other_kinds(desired: Iterable[DesiredResource], path: str) -> None:
    """Refuse batch and serverless: the resources here have only the fields of `online`."""
    others = [one for one in desired if type(one.spec) is not ROWS[one.id.kind].model]
    faults = tuple(
        Fault(str(one.id), f"kind '{one.spec.kind}' is not supported by Pulumi yet", "use online")
        for one in others
    )
    if faults:
        raise SpecError(faults, source=path)


def _resource_name(resource: ResourceId) -> str:
    if resource.kind == Kind.WORKSPACE:
        return resource.name
    return f"{resource.workspace}/{resource.name}"


def _parents(
    resource: DesiredResource, declared: Mapping[str, InferenceResource]
) -> dict[str, Any]:
    """Return workspace and endpoint as outputs, so that dependents are replaced with them."""
    place = resource.id.workspace
    addresses = {
        "workspace": f"{Kind.WORKSPACE.value}/{place}/{place}",
        "endpoint": f"{Kind.ENDPOINT.value}/{place}/{getattr(resource.spec, 'endpoint', '')}",
    }
    fields = type(resource.spec).model_fields
    return {
        field: declared[address].name  # type: ignore[attr-defined]
        for field, address in addresses.items()
        if field in fields and address in declared
    }


def _with_placeholders(resource: DesiredResource) -> list[pulumi.ResourceTransformation]:
    """Pass on the values of placeholders, and encrypt each argument that contains one."""
    placeholders = resource.placeholders
    if not placeholders:
        return []

    def add(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult:
        names = secret_arguments(type(resource.spec), args.props, placeholders)
        values = [one.get_secret_value() for one in placeholders]
        props = {**args.props, PLACEHOLDERS_KEY: values}
        names = [*names, PLACEHOLDERS_KEY]
        encrypted = {name: pulumi.Output.secret(props[name]) for name in names}
        hidden = pulumi.ResourceOptions(additional_secret_outputs=names)
        return pulumi.ResourceTransformationResult(
            {**props, **encrypted}, pulumi.ResourceOptions.merge(args.opts, hidden)
        )

    return [add]


def _arguments(spec: SpecModel, base_dir: str) -> dict[str, Any]:
    """Return the file's fields as arguments of the resource's constructor."""
    local, computed = marked(type(spec), LOCAL_PATH), marked(type(spec), COMPUTED)
    written = {name: getattr(spec, name) for name in spec.model_fields_set - (computed - local)}
    return {
        name: os.path.normpath(os.path.join(base_dir, value))
        if name in local - computed and isinstance(value, str)
        else _value(value, base_dir)
        for name, value in written.items()
    }


def _value(value: Any, base_dir: str) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, SpecModel):
        return _arguments(value, base_dir)
    if isinstance(value, Mapping):
        return {key: _value(item, base_dir) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_value(item, base_dir) for item in value]
    return value
