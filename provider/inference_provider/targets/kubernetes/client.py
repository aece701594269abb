"""A cluster's objects, in dictionaries, through its API.

Every other module of this target talks to Kubernetes through here.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx

from inference_provider.errors import TargetError, TargetUnreachable
from inference_provider.targets.kubernetes.connection import MANAGER, Connection
from inference_provider.targets.kubernetes.objects import (
    Kind,
    Object,
    kind_of,
    name_of,
    version_of,
)
from inference_provider.targets.kubernetes.refusals import Conflict

PAGE = 5000
"""Objects of one answer to a list: of 1,000 endpoints, all pods of two deployments each."""
_BY_THE_SERVER = ("resourceVersion", "generation", "managedFields")
_NAMES_ALONE = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
WATCH_S = 120
"""Time after which the API server ends a watch; it is begun again."""


class Expired(TargetUnreachable):
    """A watch cannot go on from there: list again."""


class Event(NamedTuple):
    """What a watch tells."""

    type: str
    """ADDED, MODIFIED, DELETED or BOOKMARK."""
    object: Object


class Client(Connection):
    """The objects of one cluster."""

    # -- objects -------------------------------------------------------------------------------

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """Return one object; None only when the API server says that it is not there."""
        what = _what(kind, name, namespace)
        answer = self.send("read", what, "GET", kind.path(namespace, name), known=(404,))
        return None if answer.status_code == 404 else _object(answer)

    def get_like(self, one: Object) -> Object | None:
        """Return an object of the same kind, place and name."""
        return self.get(kind_of(one), one["metadata"].get("namespace", ""), name_of(one))

    def listed(
        self, kind: Kind, namespace: str = "", selector: str = "", fields: str = ""
    ) -> Object:
        """Return a list as one object: its `items`, and the version that a watch goes on from.

        Each item says its kind and API version, which the API leaves out of a list.
        """
        about = {"apiVersion": kind.api, "kind": kind.name}
        asked = {"limit": str(PAGE), "labelSelector": selector, "fieldSelector": fields}
        items: list[Object] = []
        while True:
            given = {name: value for name, value in asked.items() if value}
            what = _what(kind, "", namespace)
            answer = self.send("list", what, "GET", kind.path(namespace), params=given)
            found = _object(answer)
            items += [{**about, **one} for one in found.get("items") or ()]
            more = found["metadata"].get("continue")
            if not more:
                return {**found, "items": items}
            asked["continue"] = more

    def items(
        self, kind: Kind, namespace: str = "", selector: str = "", fields: str = ""
    ) -> list[Object]:
        """Return the objects of a kind."""
        found: list[Object] = self.listed(kind, namespace, selector, fields)["items"]
        return found

    def names(self, kind: Kind) -> frozenset[str]:
        """Return the names of all objects of a kind, without what those are."""
        asked = {"accept": _NAMES_ALONE}
        answer = self.send("list", _what(kind, "", ""), "GET", kind.path(), headers=asked)
        return frozenset(name_of(one) for one in _object(answer).get("items") or ())

    def apply(self, one: Object, *, force: bool = False, manager: str = MANAGER) -> Object:
        """Make an object what is said here, by server-side apply; what is not said stays.

        Raises:
            Conflict: Another manager has set one of the fields; forced, they become ours.
        """
        kind, namespace = kind_of(one), one["metadata"].get("namespace", "")
        asked = {"fieldManager": manager, "force": "true" if force else "false"}
        answer = self.send(
            "apply",
            _what(kind, name_of(one), namespace),
            "PATCH",
            kind.path(namespace, name_of(one)),
            params=asked,
            content=json.dumps(one).encode(),
            headers={"content-type": "application/apply-patch+yaml"},
        )
        return _object(answer)

    def create(self, one: Object) -> Object:
        """Make an object that is not there. Raises Conflict when it is."""
        kind, namespace = kind_of(one), one["metadata"].get("namespace", "")
        what = _what(kind, name_of(one), namespace)
        asked = {"fieldManager": MANAGER}
        path = kind.path(namespace)

        def made() -> Object:
            return _object(
                self.send("make", what, "POST", path, params=asked, json_=one, once=True)
            )

        return self._certain(made, one)

    def review(self, one: Object) -> Object:
        """Return the answer to a question that is asked by an object, which nobody keeps."""
        kind = kind_of(one)
        return _object(self.send("ask", _what(kind, "", ""), "POST", kind.path(), json_=one))

    def replace(self, one: Object) -> Object:
        """Write all of an object. Raises Conflict unless it has the version that `one` names."""
        kind, namespace = kind_of(one), one["metadata"].get("namespace", "")
        what, path = _what(kind, name_of(one), namespace), kind.path(namespace, name_of(one))
        asked = {"fieldManager": MANAGER}

        def written() -> Object:
            return _object(
                self.send("write", what, "PUT", path, params=asked, json_=one, once=True)
            )

        return self._certain(written, one)

    def _certain(self, send: Callable[[], Object], one: Object) -> Object:
        """Return what a write has made; one whose answer was lost is looked for, and sent again.

        Raises:
            TargetUnreachable: The answer was lost, and what is there is neither what was sent nor
                what was there before.
        """
        try:
            return send()
        except TargetUnreachable as fault:
            if isinstance(fault.__cause__, httpx.ConnectError):
                raise  # it was sent nowhere, however often
            there = self._looked_for(one, fault)
            before = one["metadata"].get("resourceVersion")
            if before != (version_of(there) if there else None):
                if there is None or not _says(there, one):
                    raise
                return there
        try:
            return send()
        except Conflict as fault:  # the first one arrived after all
            there = self._looked_for(one, fault)
            if there is None or not _says(there, one):
                raise
            return there

    def _looked_for(self, one: Object, fault: Exception) -> Object | None:
        """Return what is there of an object's name; raises `fault` where nobody may say so now."""
        kind, namespace = kind_of(one), one["metadata"].get("namespace", "")
        what, path = _what(kind, name_of(one), namespace), kind.path(namespace, name_of(one))
        try:
            answer = self.send("read", what, "GET", path, known=(404,), quick=True)
        except TargetError:
            raise fault from None
        return None if answer.status_code == 404 else _object(answer)

    def merge(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        change: Object,
        part: str = "",
        *,
        quick: bool = False,
    ) -> Object:
        """Change some fields of an object, whatever it is now; None removes one.

        Args:
            kind: Its kind.
            namespace: Where it is.
            name: Which.
            change: The fields, as a JSON merge patch.
            part: Sub-resource, `status` or `scale`.
            quick: Whether an answer that takes long is of no use.
        """
        path = kind.path(namespace, name) + (f"/{part}" if part else "")
        answer = self.send(
            "change",
            _what(kind, name, namespace),
            "PATCH",
            path,
            params={"fieldManager": MANAGER},
            content=json.dumps(change).encode(),
            headers={"content-type": "application/merge-patch+json"},
            quick=quick,
        )
        return _object(answer)

    def delete(
        self, kind: Kind, namespace: str, name: str, *, uid: str = "", version: str = ""
    ) -> bool:
        """Delete an object, and then what it owns; return whether it was there.

        Raises:
            Conflict: It is another one than `uid` or `version` names.
        """
        wanted = {"uid": uid, "resourceVersion": version}
        options: Object = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "propagationPolicy": "Background",
        }
        if conditions := {k: v for k, v in wanted.items() if v}:
            options["preconditions"] = conditions
        what, path = _what(kind, name, namespace), kind.path(namespace, name)
        answer = self.send("delete", what, "DELETE", path, json_=options, known=(404,))
        return answer.status_code != 404

    def delete_like(self, one: Object) -> bool:
        """Delete the object of the same kind, place and name."""
        return self.delete(kind_of(one), one["metadata"].get("namespace", ""), name_of(one))

    def delete_all(self, kind: Kind, namespace: str, selector: str) -> None:
        """Delete the objects of a kind that have some labels."""
        what, path = _what(kind, "", namespace), kind.path(namespace)
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        self.send("delete", what, "DELETE", path, params={"labelSelector": selector}, json_=options)

    # -- watches and logs ----------------------------------------------------------------------

    def watch(
        self,
        kind: Kind,
        namespace: str,
        version: str,
        selector: str = "",
        limit_s: int = WATCH_S,
    ) -> Iterator[Event]:
        """Yield what changes from a version on, until the API server ends the watch.

        Args:
            kind: Of which kind.
            namespace: Where.
            version: From which on.
            selector: Labels that they have.
            limit_s: When the API server ends it.

        Raises:
            Expired: It does not know that version any more.
            TargetUnreachable: The connection was lost.
        """
        asked = {
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(limit_s),
            "labelSelector": selector,
        }
        what = _what(kind, "", namespace)
        for line in self.lines("watch", what, kind.path(namespace), asked, limit_s + 10.0):
            found = json.loads(line)
            if found["type"] == "ERROR":  # with status 200
                code = found["object"].get("code")
                kind_of_error = Expired if code == 410 else TargetUnreachable
                raise kind_of_error("watch", what, str(found["object"].get("message")), "")
            yield Event(found["type"], found["object"])

    def logs(self, namespace: str, pod: str, **asked: str) -> Iterator[str]:
        """Yield lines of a pod's log: `container`, `tailLines`, `follow`, `previous`."""
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        yield from self.lines("read the log of", f"pod {namespace}/{pod}", path, asked, None)


def _what(kind: Kind, name: str, namespace: str) -> str:
    inside = f" in namespace '{namespace}'" if namespace and kind.namespaced else ""
    return f"{kind.name} '{name}'{inside}" if name else f"{kind.plural}{inside}"


def _says(there: Any, sent: Any) -> bool:
    """Whether an object has all that was sent; versions and what the API server adds aside."""
    if isinstance(sent, dict) and isinstance(there, dict):
        return all(
            name in _BY_THE_SERVER
            or (name in there and _says(there[name], value))
            or (name not in there and value in ({}, [], None))  # which the API server drops
            for name, value in sent.items()
        )
    return bool(there == sent)


def _object(answer: httpx.Response) -> Object:
    found: Object = answer.json()
    return found
