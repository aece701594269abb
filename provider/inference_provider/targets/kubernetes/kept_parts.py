"""A ConfigMap in which the service of a workspace writes something down, for every client to read.

One of the same name that somebody else has made stays as it is.
"""

from collections.abc import Mapping

from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.applied import of_another
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.objects import CONFIG_MAP, Object, name_of, selector
from inference_provider.targets.kubernetes.refusals import Conflict, NotThere

Parts = Mapping[str, str]


class KeptParts:
    """That ConfigMap of one workspace.

    Args:
        client: Its cluster.
        namespace: Where it is.
        workspace: Its name.
        name: The ConfigMap's.
        role: The ConfigMap's, as a label.
    """

    def __init__(
        self, client: Client, namespace: str, workspace: str, *, name: str, role: str
    ) -> None:
        self._client = client
        self._namespace, self._name = namespace, name
        self._labels = names.labels(workspace, role)
        self._selector = selector(names.selecting(workspace, role))
        self._uid = ""
        """Of the one that this service has made, or found: no other one is written."""

    def all(self) -> Parts:
        """Return what is in it; nothing where it is not there. Raises TargetError."""
        return _parts(self._found())

    def _found(self) -> Object | None:
        listed = self._client.items(CONFIG_MAP, self._namespace, self._selector)
        return next((one for one in listed if name_of(one) == self._name), None)

    @property
    def is_there(self) -> bool:
        """Whether anything was written down."""
        return self._found() is not None

    def forget(self) -> None:
        """Remove it."""
        if found := self._found():
            uid = found["metadata"]["uid"]
            self._client.delete(CONFIG_MAP, self._namespace, self._name, uid=uid)

    # -- by the service ------------------------------------------------------------------------

    @property
    def is_begun(self) -> bool:
        """Whether this service knows which one is ours."""
        return bool(self._uid)

    def begin(self, parts: Parts | None = None) -> Parts:
        """Make it with these parts, unless it is there; return what is in it then.

        Raises:
            OwnedByAnother: Somebody else has made one of its name.
            TargetError: It can be neither made nor read.
        """
        about = {"name": self._name, "namespace": self._namespace, "labels": self._labels}
        empty = {"apiVersion": CONFIG_MAP.api, "kind": CONFIG_MAP.name, "metadata": about}
        made: Object | None
        try:
            made = self._client.create({**empty, "data": {**parts}} if parts else empty)
        except Conflict:
            made = self._found()
            if made is None:
                raise of_another(self._client, empty) from None
        self._uid = made["metadata"]["uid"]
        return _parts(made)

    def write(self, changed: Parts, every: Parts) -> bool:
        """Write the parts that have changed, or every one again where somebody has deleted it.

        Returns:
            False where another one of ours is there meanwhile: the next change goes into it.

        Raises:
            OwnedByAnother: Somebody else has made one of its name meanwhile.
            TargetError: It cannot be written.
        """
        own = {"uid": self._uid, "labels": self._labels}  # another one is refused
        change = {"metadata": own, "data": {**changed}}
        try:
            self._client.merge(CONFIG_MAP, self._namespace, self._name, change)
        except (Conflict, NotThere):
            self.begin(every)
            return False
        return True


def _parts(one: Object | None) -> Parts:
    return (one or {}).get("data") or {}
