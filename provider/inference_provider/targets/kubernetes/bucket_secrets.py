"""The credentials of a workspace's bucket that a connection has: a Secret, for the content pod.

Whoever may read Secrets of the namespace reads it, as the records; only it is not encrypted.
"""

from collections.abc import Callable, Mapping

from inference_provider.observed import Kind, ResourceId
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.applied import (
    apply_if_free,
    delete_ours,
    is_ours,
)
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.objects import (
    SECRET,
    Object,
    encoded,
    name_of,
    selector,
)
from inference_provider.targets.kubernetes.observed_objects import altered, listed
from inference_provider.targets.kubernetes.records import ClusterRecords
from inference_provider.workspace.bucket_credentials import storage_of
from inference_provider.workspace.ports import Tell
from inference_provider.workspace.state import State

BUCKET = "bucket"
"""Role, as a label, of the Secret that a connection to a bucket makes."""


class BucketSecrets:
    """That Secret of one workspace.

    Args:
        client: Its cluster.
        records: Its records.
        renew: Has the content pod use what the Secret holds, and waits until it does.
    """

    def __init__(
        self, client: Client, records: ClusterRecords, renew: Callable[[Tell], None]
    ) -> None:
        self._client, self._state, self._renew = client, State(records), renew
        self._workspace, self._namespace = records.workspace, records.namespace

    def holds(self, connection: str) -> bool:
        there = self._client.get_like(self._object(connection))
        return there is not None and is_ours(there)

    def keep(self, connection: str, variables: Mapping[str, str]) -> None:
        """Make it, or change it. Raises OwnedByAnother when somebody else's has its name."""
        secret = self._object(connection) | {"data": encoded(variables)}
        apply_if_free(self._client, secret)

    def drop(self, connection: str) -> None:
        delete_ours(self._client, self._object(connection))

    def keep_only(self, connection: str) -> None:
        kept = names.bucket(connection) if connection else ""
        chosen = selector(names.selecting(self._workspace, BUCKET))
        for one in self._client.items(SECRET, self._namespace, chosen):
            if name_of(one) != kept:
                delete_ours(self._client, one)

    def use(self, tell: Tell) -> None:
        self._renew(tell)

    def faults(self) -> Mapping[ResourceId, str]:
        """Say of its connection whether the Secret is gone or was changed by hand."""
        storage = storage_of(self._state)
        if not storage.is_by_connection:
            return {}
        chosen = selector(names.selecting(self._workspace, BUCKET))
        there = listed(self._client, self._namespace, [SECRET], chosen)
        said = "; ".join(altered([(SECRET, names.bucket(storage.connection))], there))
        id_ = ResourceId(kind=Kind.CONNECTION, workspace=self._workspace, name=storage.connection)
        return {id_: said} if said else {}

    def _object(self, connection: str) -> Object:
        return {
            "apiVersion": SECRET.api,
            "kind": SECRET.name,
            "metadata": {
                "name": names.bucket(connection),
                "namespace": self._namespace,
                "labels": names.labels(self._workspace, BUCKET),
            },
            "type": "Opaque",
        }
