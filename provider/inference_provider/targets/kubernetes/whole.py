"""All objects of one workspace but its records, each kind listed once for whoever asks together.

Compute and router are asked one after the other what there is: they share one look.
"""

import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.applied import is_ours
from inference_provider.targets.kubernetes.claims import claims_devices
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.instance_manifests import OBJECTS
from inference_provider.targets.kubernetes.lost_nodes import LostNodes
from inference_provider.targets.kubernetes.manager_manifests import ASSIGNMENT
from inference_provider.targets.kubernetes.objects import (
    AUTOSCALER,
    CLAIM,
    CLAIM_TEMPLATE,
    LEADER_WORKER_SET,
    POD,
    POLICY,
    ROLE,
    ROLE_BINDING,
    SERVICE_ACCOUNT,
    Kind,
    Object,
    kind_of,
    labels_of,
    name_of,
    selector,
)
from inference_provider.targets.kubernetes.observed_objects import (
    Named,
    There,
    groups_of,
    listed_if_allowed,
)
from inference_provider.targets.kubernetes.refusals import NotThere
from inference_provider.targets.kubernetes.workloads import KINDS as WORKLOADS
from inference_provider.targets.kubernetes.workspace_manifests import ACCOUNT, IDENTITY

KINDS = (*OBJECTS, POD, CLAIM, POLICY, SERVICE_ACCOUNT, ROLE, ROLE_BINDING)
IDENTITIES = (IDENTITY, ASSIGNMENT)
"""What identities and role assignments are made of."""
_BESIDE = (names.CONTENT, names.SERVICE, names.WEB)
_AROUND = (names.ROUTER, *_BESIDE, "workspace", ACCOUNT, *IDENTITIES)
ROLES = (names.INSTANCE, *_AROUND)
_NOT_EVERYWHERE = (CLAIM_TEMPLATE, LEADER_WORKER_SET)
_OF_OTHERS = f"!{names.WORKSPACE}"
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
        self._kept: tuple[float, There] | None = None
        self._identities: tuple[float, There] | None = None
        self.nodes = LostNodes(client)
        """What is known of the nodes that its pods are on."""

    def look(self, deployment: str = "", more: Sequence[Kind] = ()) -> There:
        """List everything, and keep it for one `last_look`.

        Policies and autoscalers are those of others too.

        Args:
            deployment: `<endpoint>/<deployment>`: of instances only its own, so that a look at one
                costs the same whatever the number of others.
            more: Kinds that instances may have where the cluster serves them.
        """
        endpoint, _, name = deployment.partition("/")
        about = {"endpoint": endpoint, "deployment": name} if deployment else {}
        own = selector(names.selecting(self._workspace, names.INSTANCE, **about))
        asked = [*self._asked(_AROUND if deployment else ROLES), (AUTOSCALER, "")]
        if deployment:
            asked[-1] = AUTOSCALER, _OF_OTHERS
            asked += [(kind, own) for kind in (*OBJECTS, POD, AUTOSCALER)]
        found = self._listed(asked)
        found |= groups_of(self._client, self._namespace, own, found.values())
        if any(kind in WORKLOADS and claims_devices(one) for (kind, _), one in found.items()):
            found |= self._listed([(CLAIM_TEMPLATE, own)])
        for kind in more:
            found |= listed_if_allowed(self._client, self._namespace, kind, own) or {}
        self._kept = time.monotonic(), found
        self._identities = time.monotonic(), self.of(found, *IDENTITIES)
        return found

    def last_look(self) -> There:
        """Return what was listed a moment ago, once; else list all but instances now."""
        kept, self._kept = self._kept, None
        if kept is None or time.monotonic() > kept[0] + _FRESH_S:
            return self._listed([*self._asked(_AROUND), (AUTOSCALER, _OF_OTHERS)])
        return kept[1]

    def last_identities(self) -> There | None:
        """Return what identities and role assignments were of in the last look, once; else None."""
        kept, self._identities = self._identities, None
        return kept[1] if kept and time.monotonic() <= kept[0] + _FRESH_S else None

    def _asked(self, roles: Sequence[str]) -> list[tuple[Kind, str]]:
        chosen = selector({names.WORKSPACE: self._workspace, names.ROLE: (*roles,)})
        return [(kind, "" if kind == POLICY else chosen) for kind in KINDS]

    def _listed(self, asked: Sequence[tuple[Kind, str]]) -> dict[Named, Object]:
        def items(one: tuple[Kind, str]) -> list[Object]:
            # an API that not every cluster has may be removed, and what it had with it
            with suppress(*(NotThere,) if one[0] in _NOT_EVERYWHERE else ()):
                return self._client.items(one[0], self._namespace, one[1])
            return []

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return {(kind_of(one), name_of(one)): one for s in pool.map(items, asked) for one in s}

    def unlabelled(self, wanted: Collection[Named], there: There) -> dict[Named, Object]:
        """Return what of ours is there, and was not found: somebody has changed its labels."""
        missing = {
            one for one in wanted if one not in there and one[0] in (*KINDS, *_NOT_EVERYWHERE)
        }
        found = self._listed([(kind, "") for kind in sorted({kind for kind, _ in missing})])
        return {named: one for named, one in found.items() if named in missing and is_ours(one)}

    def of(self, there: There, *roles: str) -> dict[Named, Object]:
        """Return those of some roles."""
        return {
            named: one
            for named, one in there.items()
            if (has := labels_of(one)).get(names.ROLE) in roles
            and has.get(names.WORKSPACE) == self._workspace
        }
