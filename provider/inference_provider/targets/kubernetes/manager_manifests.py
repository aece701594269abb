"""A role assignment that lets an identity deploy by itself -> a Role and who has it. Pure.

The Role is that of docs/deployer-role.yaml. The API server lets nobody give a right that they lack.
"""

from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.doctor import NEEDED
from inference_provider.targets.kubernetes.objects import (
    ROLE,
    ROLE_BINDING,
    SERVICE_ACCOUNT,
    Kind,
    Object,
)
from inference_provider.targets.kubernetes.rights import BY_NAME

ASSIGNMENT = "assignment"
"""Role, as a label, of what a role assignment makes."""
KINDS = (ROLE, ROLE_BINDING)


def manager_objects(
    workspace: str, place: str, assignment: str, identity: str
) -> tuple[Object, ...]:
    """Return what gives an identity the rights of who deploys to a workspace, in its namespace.

    Args:
        workspace: Name of the workspace.
        place: Its namespace.
        assignment: Name of the role assignment.
        identity: Name of the identity.
    """
    subject = {
        "kind": SERVICE_ACCOUNT.name,
        "name": names.identity(identity),
        "namespace": place,
    }
    name = names.assignment(assignment)
    role = {"apiGroup": ROLE.api.partition("/")[0], "kind": ROLE.name, "name": name}

    def made(kind: Kind, **content: object) -> Object:
        about = {"name": name, "namespace": place, "labels": names.labels(workspace, ASSIGNMENT)}
        return {"apiVersion": kind.api, "kind": kind.name, "metadata": about, **content}

    return made(ROLE, rules=_rules()), made(ROLE_BINDING, roleRef=role, subjects=[subject])


def _rules() -> list[Object]:
    return [
        {
            "apiGroups": [group],
            "resources": [resource],
            "verbs": list(verbs),
            **({"resourceNames": [BY_NAME[resource]]} if resource in BY_NAME else {}),
        }
        for (group, resource), verbs in NEEDED.items()
    ]
