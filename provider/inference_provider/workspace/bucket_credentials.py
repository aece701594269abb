"""The connection that has the credentials of a workspace's bucket, and what holds them.

A workspace is made before its connections, so its first process that keeps content has none; it is
given them when the connection is made, and others when that changes.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from inference_provider.desired import DesiredResource
from inference_provider.errors import SecretNotRead, TargetError
from inference_provider.injection import Contents
from inference_provider.observed import Kind, ResourceId
from inference_provider.spec.bucket_credentials import bucket_fault, variables_of
from inference_provider.workspace.bucket_login import BucketUser
from inference_provider.workspace.secret_store import not_read
from inference_provider.workspace.state import State


class Storage(NamedTuple):
    """The bucket of a workspace, and the connection that has its credentials; both may be empty."""

    url: str = ""
    connection: str = ""

    @property
    def is_by_connection(self) -> bool:
        return bool(self.url and self.connection)


def storage_in(workspace: Mapping[str, Any] | None) -> Storage:
    """Return what a workspace's properties say of it."""
    found = ((workspace or {}).get("cluster") or {}).get("storage") or {}
    return Storage(found.get("url") or "", found.get("connection") or "")


def storage_of(state: State) -> Storage:
    """Return what is recorded of it; nothing where that cannot be read."""
    return storage_in({"cluster": state.of_workspace("cluster")})


def lacking(state: State) -> str:
    """Return the connection that has a bucket's credentials and is not there; empty for none."""
    storage = storage_of(state)
    wanted = storage.is_by_connection and not _is_there(state, storage)
    return storage.connection if wanted else ""


def refuse_without_credentials(state: State, desired: DesiredResource) -> None:
    """Raise TargetError where the content of a resource has nowhere to go yet."""
    if name := lacking(state):
        reason = f"connection '{name}', which has the credentials of its bucket, is not there"
        remedy = "create it first (in a Pulumi program: name it in depends_on)"
        raise TargetError("keep", str(desired.id), reason, remedy)


@contextmanager
def bucket_settled(
    state: State, user: BucketUser | None, desired: DesiredResource
) -> Iterator[None]:
    """Have what a workspace is to name held while it changes, if it is there by now.

    What was not held before is dropped again when the change fails.

    Raises:
        TargetError: The connection does not fit the bucket, or its secret store does not answer.
    """
    storage = storage_in(desired.properties)
    if user is None or not storage.is_by_connection or not _is_there(state, storage):
        yield  # it is made after its workspace
        return
    was_held = user.holds(storage.connection)
    if was_held and storage == storage_of(state):
        yield
        return
    id_ = ResourceId(kind=Kind.CONNECTION, workspace=desired.id.workspace, name=storage.connection)
    contents = _contents(state, id_)
    _refuse_unfit(desired.id, storage, contents)
    user.keep(storage.connection, variables_of(contents))
    try:
        yield
    except BaseException:
        if not was_held:
            with suppress(TargetError):  # the first error is the one to report
                user.drop(storage.connection)
        raise


def _is_there(state: State, storage: Storage) -> bool:
    return storage.connection in state.recorded(Kind.CONNECTION)


@contextmanager
def given_to_bucket(
    state: State,
    user: BucketUser | None,
    desired: DesiredResource,
    contents: Contents,
    tell: Callable[[str], None],
) -> Iterator[None]:
    """Have a connection's credentials in use while it is recorded; the old ones if that fails.

    Nothing happens where the workspace's bucket is not reached by this connection.

    Raises:
        TargetError: The connection does not fit the bucket, or does not let anybody in.
    """
    storage, name = storage_of(state), desired.id.name
    if user is None or not storage.is_by_connection or storage.connection != name:
        yield
        return
    _refuse_unfit(desired.id, storage, contents)
    before: Contents | None = None
    with suppress(SecretNotRead):
        before = state.secrets.read(name)
    try:
        user.keep(name, variables_of(contents))
        user.use(tell)
        yield
    except BaseException:
        with suppress(TargetError):  # the first error is the one to report
            _put_back(user, name, before)
        raise


def _put_back(user: BucketUser, name: str, before: Contents | None) -> None:
    if before is None:
        user.drop(name)
    else:
        user.keep(name, variables_of(before))
    user.use(lambda _said: None)


def _contents(state: State, connection: ResourceId) -> Contents:
    try:
        contents = state.secrets.read(connection.name)
    except SecretNotRead as fault:
        raise not_read(fault, "read the credentials of", connection) from None
    if contents is None:
        reason, remedy = "its credentials are gone", "run `inferctl up` to apply it again"
        raise TargetError("read", str(connection), reason, remedy)
    return contents


def _refuse_unfit(resource: ResourceId, storage: Storage, contents: Contents) -> None:
    if found := bucket_fault(storage.url, contents):
        reason, remedy = found
        at = "" if resource.kind == Kind.WORKSPACE else "the workspace's "
        raise TargetError(
            "apply", str(resource), f"{at}cluster.storage.connection: {reason}", remedy
        )
