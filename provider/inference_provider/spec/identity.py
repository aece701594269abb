"""Identity and RoleAssignment: who acts, and what they may do where."""

from typing import Annotated, Literal

from inference_provider.spec.base import COSMETIC, REPLACES, Kind, ResourceName, SpecModel, Tags
from inference_provider.spec.names import names, names_path

_USER_ASSIGNED = names(
    Kind.IDENTITY,
    only_if=("principal_type", "identity"),
    remedy="declare it under identities, or set principal_type: user",
)
_SCOPE = names_path({"endpoints": Kind.ENDPOINT, "connections": Kind.CONNECTION})


class IdentitySpec(SpecModel):
    """A user-assigned principal."""

    workspace: Annotated[ResourceName, REPLACES] = "default"
    name: Annotated[ResourceName, REPLACES]
    description: Annotated[str, COSMETIC] = ""
    tags: Annotated[Tags, COSMETIC] = {}


class RoleAssignmentSpec(SpecModel):
    """Principal x role x scope."""

    workspace: Annotated[ResourceName, REPLACES] = "default"
    name: Annotated[ResourceName, REPLACES]
    principal: Annotated[str, REPLACES, _USER_ASSIGNED]
    """An identity of the workspace, or a `sub` of a token."""
    principal_type: Annotated[Literal["identity", "user", "group"], REPLACES] = "identity"
    role: Annotated[str, REPLACES]
    """A role's name, `AzureML Data Scientist`."""
    scope: Annotated[str, REPLACES, _SCOPE] = ""
    """Empty for the workspace, `endpoints/<name>`, or `connections/<name>`."""
