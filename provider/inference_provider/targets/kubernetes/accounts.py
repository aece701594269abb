"""Service accounts: an Identity is one, and a deployment's pods run as that of its endpoint.

A cloud gives pods its own identity by annotations of their account; pods get no token of the
cluster's own API.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from inference_provider.observed import Kind, ResourceId
from inference_provider.spec.cluster import ClusterServiceAccount
from inference_provider.targets.kubernetes import names, workspace_manifests
from inference_provider.targets.kubernetes.applied import (
    apply_ours,
    delete_ours,
    is_ours,
    of_another,
)
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.objects import Object
from inference_provider.targets.kubernetes.records import ClusterRecords
from inference_provider.workspace.ports import Unit
from inference_provider.workspace.state import State


class Account(NamedTuple):
    """As whom the pods of a deployment run."""

    name: str = ""
    """Of the service account; empty for that of the namespace."""
    labels: Mapping[str, str] = {}
    """What a cloud asks of its pods beside the account's annotations."""


class Accounts:
    """The service accounts of one workspace's identities."""

    def __init__(self, client: Client, records: ClusterRecords) -> None:
        self._client, self._state = client, State(records)
        self._workspace, self._namespace = records.workspace, records.namespace

    def keep(self, identity: str, annotations: Mapping[str, str]) -> None:
        """Make it. Raises OwnedByAnother when somebody else's service account has its name."""
        account = self._account(identity, annotations)
        there = self._client.get_like(account)
        if there is not None and not is_ours(there):  # nothing in it need differ from ours
            raise of_another(self._client, account)
        apply_ours(self._client, account, _untold)

    def drop(self, identity: str) -> None:
        delete_ours(self._client, self._account(identity, {}))

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
        record = self._state.record(ResourceId(kind=kind, workspace=self._workspace, name=name))
        return record.properties if record else {}


def _untold(_said: str) -> None:
    """Nobody waits for that sentence."""
