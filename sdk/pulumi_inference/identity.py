"""Identity and RoleAssignment: who may do what.

Goes in: typed arguments, each of which may be an output of another resource. The provider's check
reports all faults in them at once.
"""

from collections.abc import Mapping

from pulumi import Input, Output, ResourceOptions

from inference_provider.dynamic.identity import IdentityProvider
from inference_provider.dynamic.role_assignment import RoleAssignmentProvider
from pulumi_inference.base import InferenceResource
from pulumi_inference.workspace import Workspace


class Identity(InferenceResource, module="inference", name="Identity"):
    """A user-assigned principal.

    Args:
        resource_name: Name in the Pulumi stack.
        workspace: Its workspace or the name of it, 3 to 32 letters, digits and single dashes;
            `default` when left out.
        name: 3 to 32 letters, digits and single dashes; the resource's name when left out. Another
            name makes another identity.
        annotations: What a cloud takes it for, on a cluster, where it is a service account.
        description: What it is for.
        tags: Words of your own, by name.
        stack: Owner's label; the Pulumi project's name when left out.
        opts: Pulumi's resource options.
    """

    provider_type = IdentityProvider

    workspace: Output[str]
    name: Output[str]

    def __init__(
        self,
        resource_name: str,
        *,
        workspace: Input[str] | Workspace | None = None,
        name: Input[str] | None = None,
        annotations: Input[Mapping[str, Input[str]]] | None = None,
        description: Input[str] | None = None,
        tags: Input[Mapping[str, Input[str]]] | None = None,
        stack: Input[str] | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:
        fields = {
            "workspace": workspace,
            "name": name,
            "annotations": annotations,
            "description": description,
            "tags": tags,
        }
        super().__init__(resource_name, fields, stack, opts)


class RoleAssignment(InferenceResource, module="inference", name="RoleAssignment"):
    """Grants a principal a role on a scope.

    Args:
        resource_name: Name in the Pulumi stack.
        workspace: Its workspace or the name of it, 3 to 32 letters, digits and single dashes;
            `default` when left out.
        name: 3 to 32 letters, digits and single dashes; the resource's name when left out. Another
            name makes another role assignment.
        principal: An identity of the workspace or its name, `endpoints/<name>` for the
            system-assigned identity of an endpoint, or a `sub` or a group of a token.
        principal_type: `identity` when left out; `user`, `group`.
        role: A built-in role, `AzureML Data Scientist`, or one of the workspace's `roles`.
        scope: Where it holds, with all that is inside: left out for the workspace,
            `endpoints/<name>`, `endpoints/<name>/deployments/<name>`, `connections/<name>`,
            `registries/<registry>` or `stores/<bucket>`.
        stack: Owner's label; the Pulumi project's name when left out.
        opts: Pulumi's resource options.
    """

    provider_type = RoleAssignmentProvider

    workspace: Output[str]
    name: Output[str]

    def __init__(
        self,
        resource_name: str,
        *,
        principal: Input[str] | Identity,
        role: Input[str],
        workspace: Input[str] | Workspace | None = None,
        name: Input[str] | None = None,
        principal_type: Input[str] | None = None,
        scope: Input[str] | None = None,
        stack: Input[str] | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:
        fields = {
            "principal": principal,
            "role": role,
            "workspace": workspace,
            "name": name,
            "principal_type": principal_type,
            "scope": scope,
        }
        super().__init__(resource_name, fields, stack, opts)
