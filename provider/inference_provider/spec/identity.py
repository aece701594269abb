"""Identity and RoleAssignment: who acts, and what they may do where."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator

from inference_provider.spec.base import (
    COSMETIC,
    REPLACES,
    SECURITY,
    Kind,
    ResourceName,
    SpecModel,
    Tags,
)
from inference_provider.spec.names import names_path, names_principal
from inference_provider.spec.roles import role_name
from inference_provider.spec.scheduling import LabelKey

_USER_ASSIGNED = names_principal(
    Kind.IDENTITY,
    only_if=("principal_type", "identity"),
    remedy="declare it under identities, or set principal_type: user",
)
SCOPE_NAMES = names_path({"endpoints": Kind.ENDPOINT, "connections": Kind.CONNECTION})
_SCOPES = re.compile(
    r"endpoints/[^/\s]+(/deployments/[^/\s]+)?|connections/[^/\s]+|(registries|stores|vaults)/\S+"
)


def scope_text(written: str) -> str:
    """Return a scope as it is recorded; empty for the workspace. Raises ValueError for another."""
    scope = written.strip("/ ")
    if scope in ("", "workspace"):
        return ""
    if not _SCOPES.fullmatch(scope):
        raise ValueError(
            "not a scope; leave it out for the workspace, or write endpoints/<name>,"
            " endpoints/<name>/deployments/<name>, connections/<name>, registries/<registry>,"
            " stores/<bucket> or vaults/<host>"
        )
    return scope


class IdentitySpec(SpecModel):
    """A user-assigned principal."""

    workspace: Annotated[ResourceName, REPLACES] = "default"
    name: Annotated[ResourceName, REPLACES]
    annotations: Annotated[dict[LabelKey, str], SECURITY] = {}
    """What a cloud takes it for, on a cluster, where it is a service account:
    `{eks.amazonaws.com/role-arn: …}`, `{iam.gke.io/gcp-service-account: …}` or
    `{azure.workload.identity/client-id: …}`."""
    description: Annotated[str, COSMETIC] = ""
    tags: Annotated[Tags, COSMETIC] = {}


class RoleAssignmentSpec(SpecModel):
    """Principal x role x scope."""

    workspace: Annotated[ResourceName, REPLACES] = "default"
    name: Annotated[ResourceName, REPLACES]
    principal: Annotated[str, REPLACES, _USER_ASSIGNED]
    """An identity of the workspace, `endpoints/<name>` for the system-assigned identity of an
    endpoint, or a `sub` or a group of a token."""
    principal_type: Annotated[Literal["identity", "user", "group"], REPLACES] = "identity"
    """What `principal` is: an identity, or with `user` and `group` what tokens say."""
    role: Annotated[str, REPLACES, AfterValidator(role_name)]
    """A built-in role, `AzureML Data Scientist`, or one of the workspace's `roles`."""
    scope: Annotated[str, REPLACES, SCOPE_NAMES, AfterValidator(scope_text)] = ""
    """Where it holds, with all that is inside: left out for the workspace, `endpoints/<name>`,
    `endpoints/<name>/deployments/<name>`, `connections/<name>`, `registries/<registry>`,
    `stores/<bucket>` or `vaults/<host of a Key Vault>`."""
