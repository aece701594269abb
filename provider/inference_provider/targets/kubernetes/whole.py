"""All objects of one workspace but its records, each kind listed once for whoever asks together.

Compute and router are asked one after the other what there is: they share one look.
"""

import time
from concurrent.futures import ThreadPoolExecutor

from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.objects import (
    BUDGET,
    CLAIM,
    DEPLOYMENT,
    POD,
    POLICY,
    ROLE,
    ROLE_BINDING,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    Kind,
    Object,
    kind_of,
    labels_of,
    name_of,
    selector,
)
from inference_provider.targets.kubernetes.observed_objects import Named, There
from inference_provider.targets.kubernetes.workspace_manifests import ACCOUNT

KINDS = (
    DEPLOYMENT,
    SERVICE,
    SECRET,
    BUDGET,
    POD,
    CLAIM,
    POLICY,
    SERVICE_ACCOUNT,
    ROLE,
    ROLE_BINDING,
)
ROLES = (names.INSTANCE, names.ROUTER, names.CONTENT, "workspace", ACCOUNT)
_FRESH_S = 5.0
_AT_ONCE = 8


class Whole:
    """The objects of one workspace.

    Args:
        client: The cluster's API.
        namespace: Where they are.
        workspace: Its name.
    """

    def __init__(self, client: Client, namespace: str, workspace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._workspace = workspace
        self._chosen = selector({names.WORKSPACE: workspace, names.ROLE: ROLES})
        self._kept: tuple[float, There] | None = None

    def look(self) -> There:
        """List everything, and keep it for one `last_look`. Policies are those of others too."""

        def items(kind: Kind) -> list[Object]:
            return self._client.items(kind, self._namespace, "" if kind == POLICY else self._chosen)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = {(kind_of(one), name_of(one)): one for s in pool.map(items, KINDS) for one in s}
        self._kept = time.monotonic(), found
        return found

    def last_look(self) -> There:
        """Return what was listed a moment ago, once; else list it now."""
        kept, self._kept = self._kept, None
        if kept is None or time.monotonic() > kept[0] + _FRESH_S:
            kept, self._kept = (0.0, self.look()), None
        return kept[1]

    def of(self, there: There, *roles: str) -> dict[Named, Object]:
        """Return those of some roles."""
        return {
            named: one
            for named, one in there.items()
            if (has := labels_of(one)).get(names.ROLE) in roles
            and has.get(names.WORKSPACE) == self._workspace
        }
