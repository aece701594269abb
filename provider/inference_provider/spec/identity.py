"""Identity and RoleAssignment: who acts, and what they may do where."""

from typing import Annotated, Literal

from inference_provider.spec.base import COSMETIC, REPLACES, ResourceName, SpecModel, Tags


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
    principal: Annotated[str, REPLACES]
    """An identity of the workspace, or a `sub` of a token."""
    principal_type: Annotated[Literal["identity", "user", "group"], REPLACES] = "identity"
    role: Annotated[str, REPLACES]
    """A role's name, `AzureML Data Scientist`."""
    scope: Annotated[str, REPLACES] = ""
    """Empty for the workspace, `endpoints/<name>`, or `connections/<name>`."""
