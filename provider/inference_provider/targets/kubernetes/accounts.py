"""Service accounts: an Identity is one, and a deployment's pods run as that of its endpoint.

A role assignment that lets an identity deploy by itself is a RoleBinding of its account.

A cloud gives pods its own identity by annotations of their account; pods get no token of the
cluster's own API.
"""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, NamedTuple

from inference_provider.observed import Kind, ResourceId
from inference_provider.spec.cluster import ClusterServiceAccount
from inference_provider.targets.kubernetes import names, workspace_manifests
from inference_provider.targets.kubernetes.applied import (
    apply_if_free,
    apply_ours,
    delete_ours,
    is_ours,
    of_another,
)
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.manager_manifests import KINDS as MANAGERS
from inference_provider.targets.kubernetes.manager_manifests import manager_objects
from inference_provider.targets.kubernetes.objects import SERVICE_ACCOUNT, Object, selector
from inference_provider.targets.kubernetes.observed_objects import (
    Named,
    altered,
    listed,
    named,
)
from inference_provider.targets.kubernetes.records import ClusterRecords
from inference_provider.targets.kubernetes.refusals import Forbidden
from inference_provider.targets.kubernetes.whole import IDENTITIES, Whole
from inference_provider.workspace.ports import Unit
from inference_provider.workspace.rights import managing, own_roles
from inference_provider.workspace.state import State

_GONE = " is gone"
_NO_POD = ": what runs as it goes on, and no new pod of it starts"


class Account(NamedTuple):
    """As whom the pods of a deployment run."""

    name: str = ""
    """Of the service account; empty for that of the namespace."""
    labels: Mapping[str, str] = {}
    """What a cloud asks of its pods beside the account's annotations."""


class Accounts:
    """The service accounts of one workspace's identities.

    Args:
        client: The cluster's API.
        records: The workspace's.
        whole: Has looked at all of the workspace a moment ago; None where nothing has.
    """

    def __init__(self, client: Client, records: ClusterRecords, whole: Whole | None = None) -> None:
        self._client, self._state, self._whole = client, State(records), whole
        self._workspace, self._namespace = records.workspace, records.namespace

    def keep(self, identity: str, annotations: Mapping[str, str]) -> None:
        """Make it. Raises OwnedByAnother when somebody else's service account has its name."""
        apply_if_free(self._client, self._account(identity, annotations))

    def drop(self, identity: str) -> None:
        delete_ours(self._client, self._account(identity, {}))

    def entitle(self, assignment: str, identity: str) -> None:
        """Bind it to a Role. Raises OwnedByAnother, and Forbidden with the rights that lack."""
        for one in self._managers(assignment, identity):
            there = self._client.get_like(one)
            if there is not None and not is_ours(there):
                raise of_another(self._client, one)
            if there is not None and there.get("roleRef") != one.get("roleRef"):
                delete_ours(self._client, one)  # nobody may change that
            apply_ours(self._client, one)

    def withdraw(self, assignment: str) -> None:
        """Take back what it was bound to. Raises Forbidden where that is, or may be, left."""
        may_be_left = assignment in self._managing()
        for one in reversed(self._managers(assignment, "")):
            delete_ours(self._client, one, if_seen=not may_be_left)

    def sweep(self, managing: Mapping[str, str]) -> None:
        wanted = {*chain(*self._wanted_accounts().values(), *self._bound(managing).values())}
        needed = bool(managing or self._managing())
        for (kind, name), one in reversed(self._listed(needed=needed).items()):
            if (kind, name) not in wanted:
                delete_ours(self._client, one)

    def faults(self, *, leftovers: bool) -> Mapping[ResourceId, str]:
        """Say of which accounts and bindings something is gone, changed by hand or left over."""
        bound = self._bound(self._managing())
        wanted = {**self._wanted_accounts(), **bound}
        if not wanted and not leftovers:
            return {}
        seen = self._whole.last_identities() if self._whole else None
        there = seen if seen is not None else self._listed(needed=bool(bound))
        found = {id_: "; ".join(altered(objects, there)) for id_, objects in wanted.items()}
        told = {
            id_: f"{said}{_NO_POD if id_.kind == Kind.IDENTITY and said.endswith(_GONE) else ''}"
            for id_, said in found.items()
            if said
        }
        left = there.keys() - {*chain(*wanted.values())} if leftovers else set()
        return {**told, **self._left(left)}

    def _listed(self, *, needed: bool) -> dict[Named, Object]:
        """Return what is there of all identities and role assignments.

        Args:
            needed: Whether there are bindings; else who may not list them has made none.
        """
        chosen = selector({names.WORKSPACE: self._workspace, names.ROLE: IDENTITIES})
        try:
            return listed(self._client, self._namespace, (SERVICE_ACCOUNT, *MANAGERS), chosen)
        except Forbidden:
            if needed:
                raise
            return listed(self._client, self._namespace, (SERVICE_ACCOUNT,), chosen)

    def _left(self, left: Iterable[Named]) -> Mapping[ResourceId, str]:
        """Say what is left over, of the role assignment that it was made for, or the workspace."""
        space = self._id(Kind.WORKSPACE, self._workspace)
        lowered = {
            names.assignment(name): self._id(Kind.ROLE_ASSIGNMENT, name)
            for name in self._state.recorded(Kind.ROLE_ASSIGNMENT)
        }
        found: dict[ResourceId, list[str]] = {}
        for kind, name in sorted(left, key=lambda one: (one[0].name, one[1])):
            whose = space if kind == SERVICE_ACCOUNT else lowered.get(name, space)
            found.setdefault(whose, []).append(f"leftover {kind.name} {name}")
        return {id_: "; ".join(said) for id_, said in found.items()}

    def _wanted_accounts(self) -> dict[ResourceId, list[Named]]:
        return {
            self._id(Kind.IDENTITY, name): [(SERVICE_ACCOUNT, names.identity(name))]
            for name in self._state.recorded(Kind.IDENTITY)
        }

    def _bound(self, managing: Mapping[str, str]) -> dict[ResourceId, list[Named]]:
        return {
            self._id(Kind.ROLE_ASSIGNMENT, name): named(self._managers(name, identity))
            for name, identity in managing.items()
        }

    def _managing(self) -> Mapping[str, str]:
        return managing(self._state, own_roles(self._state, self._workspace))

    def _managers(self, assignment: str, identity: str) -> tuple[Object, ...]:
        return manager_objects(self._workspace, self._namespace, assignment, identity)

    def _id(self, kind: Kind, name: str) -> ResourceId:
        return ResourceId(kind=kind, workspace=self._workspace, name=name)

    def of(self, unit: Unit, declared: Mapping[str, ClusterServiceAccount]) -> Account:
        """Return the account of a deployment; make that of its endpoint's identity if it is gone.

        Args:
            unit: One generation of the deployment.
            declared: Those that the workspace declares for deployments to name.
        """
        named = unit.spec.scheduling.service_account
        if named:
            return Account(named, workspace_manifests.identity(declared.get(named)))
        identity = self._fields(Kind.ENDPOINT, unit.id.endpoint or "").get("identity")
        if not identity:
            return Account()
        annotations = self._fields(Kind.IDENTITY, identity).get("annotations") or {}
        self.keep(identity, annotations)
        labels = workspace_manifests.identity(ClusterServiceAccount(annotations=annotations))
        return Account(names.identity(identity), labels)

    def _account(self, identity: str, annotations: Mapping[str, str]) -> Object:
        return workspace_manifests.identity_account(
            self._workspace, self._namespace, identity, annotations
        )

    def _fields(self, kind: Kind, name: str) -> Mapping[str, Any]:
        record = self._state.record(self._id(kind, name))
        return record.properties if record else {}
