"""A cluster's API, in dictionaries over httpx, with errors of ours.

Every other module of this target talks to Kubernetes through here. What may be sent again is sent
again: when the API server is busy, restarts, or closes a connection.
"""

import json
import random
import threading
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from inference_provider.errors import TargetError, TargetUnreachable
from inference_provider.targets.kubernetes.kubeconfig import Access
from inference_provider.targets.kubernetes.objects import Kind, Object, kind_of, name_of
from inference_provider.targets.kubernetes.refusals import AGAIN, SHOWN, refusal

MANAGER = "pulumi-inference"
"""Field manager of all that is applied, and user agent."""
PAGE = 2000
"""Objects of one answer to a list."""
TIMEOUT_S = 30.0
WATCH_S = 120
"""Time after which the API server ends a watch; it is begun again."""
_ATTEMPTS = 6
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 3.0


class Expired(TargetUnreachable):
    """A watch cannot go on from there: list again."""


class Event(NamedTuple):
    """What a watch tells."""

    type: str
    """ADDED, MODIFIED, DELETED or BOOKMARK."""
    object: Object


class Client:
    """The API of one cluster.

    Args:
        access: How it is entered.
        transport: What requests go through, instead of the network.
        attempts: How often a request is sent at most; 1 for a caller that asks again by itself.
    """

    def __init__(
        self,
        access: Access,
        transport: httpx.BaseTransport | None = None,
        attempts: int = _ATTEMPTS,
    ) -> None:
        self.access = access
        self._attempts = attempts
        self.calls = 0
        """How many requests it has sent."""
        self._counting = threading.Lock()
        self._server_ahead_s = 0.0
        self._http = httpx.Client(
            base_url=access.server,
            verify=access.tls,
            proxy=access.proxy or _proxy_of(access.server),
            transport=transport,
            timeout=TIMEOUT_S,
            trust_env=False,
            headers={"user-agent": MANAGER},
            limits=httpx.Limits(max_connections=32, max_keepalive_connections=16),
        )
        self._more = {"sni_hostname": access.server_name} if access.server_name else {}

    def __str__(self) -> str:
        return f"cluster '{self.access.name}'"

    def close(self) -> None:
        self._http.close()

    def server_time_s(self) -> float:
        """Return the API server's time of day, as its last answer said it; seconds since 1970."""
        return time.time() + self._server_ahead_s

    # -- objects -------------------------------------------------------------------------------

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """Return one object; None only when the API server says that it is not there."""
        what = _what(kind, name, namespace)
        answer = self._send("read", what, "GET", kind.path(namespace, name), known=(404,))
        return None if answer.status_code == 404 else _object(answer)

    def get_like(self, one: Object) -> Object | None:
        """Return an object of the same kind, place and name."""
        return self.get(kind_of(one), one["metadata"].get("namespace", ""), name_of(one))

    def listed(
        self, kind: Kind, namespace: str = "", selector: str = "", fields: str = ""
    ) -> Object:
        """Return a list as one object: its `items`, and the version that a watch goes on from."""
        asked = {"limit": str(PAGE), "labelSelector": selector, "fieldSelector": fields}
        items: list[Object] = []
        while True:
            given = {name: value for name, value in asked.items() if value}
            what = _what(kind, "", namespace)
            answer = self._send("list", what, "GET", kind.path(namespace), params=given)
            found = _object(answer)
            items += found.get("items") or ()
            more = found["metadata"].get("continue")
            if not more:
                return {**found, "items": items}
            asked["continue"] = more

    def items(
        self, kind: Kind, namespace: str = "", selector: str = "", fields: str = ""
    ) -> list[Object]:
        """Return the objects of a kind, with kind and API version, which a list leaves out."""
        about = {"apiVersion": kind.api, "kind": kind.name}
        found = self.listed(kind, namespace, selector, fields)
        return [{**about, **one} for one in found["items"]]

    def apply(self, one: Object, *, force: bool = False) -> Object:
        """Make an object what is said here, by server-side apply; what is not said stays.

        Raises:
            Conflict: Another manager has set one of the fields; forced, they become ours.
        """
        kind, namespace = kind_of(one), one["metadata"].get("namespace", "")
        asked = {"fieldManager": MANAGER, "force": "true" if force else "false"}
        answer = self._send(
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
        return _object(self._send("make", what, "POST", path, params=asked, json_=one, once=True))

    def review(self, one: Object) -> Object:
        """Return the answer to a question that is asked by an object, which nobody keeps."""
        kind = kind_of(one)
        return _object(self._send("ask", _what(kind, "", ""), "POST", kind.path(), json_=one))

    def replace(self, one: Object) -> Object:
        """Write all of an object. Raises Conflict unless it has the version that `one` names."""
        kind, namespace = kind_of(one), one["metadata"].get("namespace", "")
        what, path = _what(kind, name_of(one), namespace), kind.path(namespace, name_of(one))
        asked = {"fieldManager": MANAGER}
        return _object(self._send("write", what, "PUT", path, params=asked, json_=one, once=True))

    def merge(
        self, kind: Kind, namespace: str, name: str, change: Object, part: str = ""
    ) -> Object:
        """Change some fields of an object, whatever it is now; None removes one.

        Args:
            kind: Its kind.
            namespace: Where it is.
            name: Which.
            change: The fields, as a JSON merge patch.
            part: Sub-resource, `status` or `scale`.
        """
        path = kind.path(namespace, name) + (f"/{part}" if part else "")
        answer = self._send(
            "change",
            _what(kind, name, namespace),
            "PATCH",
            path,
            params={"fieldManager": MANAGER},
            content=json.dumps(change).encode(),
            headers={"content-type": "application/merge-patch+json"},
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
        answer = self._send("delete", what, "DELETE", path, json_=options, known=(404,))
        return answer.status_code != 404

    def delete_like(self, one: Object) -> bool:
        """Delete the object of the same kind, place and name."""
        return self.delete(kind_of(one), one["metadata"].get("namespace", ""), name_of(one))

    def delete_all(self, kind: Kind, namespace: str, selector: str) -> None:
        """Delete the objects of a kind that have some labels."""
        what, path = _what(kind, "", namespace), kind.path(namespace)
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        self._send(
            "delete", what, "DELETE", path, params={"labelSelector": selector}, json_=options
        )

    # -- watches and logs ----------------------------------------------------------------------

    def watch(
        self, kind: Kind, namespace: str, version: str, selector: str = ""
    ) -> Iterator[Event]:
        """Yield what changes from a version on, until the API server ends the watch.

        Raises:
            Expired: It does not know that version any more.
            TargetUnreachable: The connection was lost.
        """
        asked = {
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_S),
            "labelSelector": selector,
        }
        what = _what(kind, "", namespace)
        for line in self._lines("watch", what, kind.path(namespace), asked, WATCH_S + 10.0):
            found = json.loads(line)
            if found["type"] == "ERROR":  # with status 200
                code = found["object"].get("code")
                kind_of_error = Expired if code == 410 else TargetUnreachable
                raise kind_of_error("watch", what, str(found["object"].get("message")), "")
            yield Event(found["type"], found["object"])

    def logs(self, namespace: str, pod: str, **asked: str) -> Iterator[str]:
        """Yield lines of a pod's log: `container`, `tailLines`, `follow`, `previous`."""
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        yield from self._lines("read the log of", f"pod {namespace}/{pod}", path, asked, None)

    def _lines(
        self, doing: str, what: str, path: str, asked: Mapping[str, str], read_s: float | None
    ) -> Iterator[str]:
        limit = httpx.Timeout(TIMEOUT_S, read=read_s)
        given = {name: value for name, value in asked.items() if value}
        self._count()
        try:
            with self._http.stream(
                "GET",
                path,
                params=given,
                timeout=limit,
                headers=self._headers(),
                extensions=self._more,
            ) as answer:
                if answer.is_error:
                    answer.read()
                    raise self.fault(doing, what, answer)
                yield from answer.iter_lines()
        except httpx.HTTPError as fault:
            raise self.unreachable(doing, what, fault) from fault

    # -- through the API server to a pod ----------------------------------------------------------

    def proxy(
        self,
        method: str,
        path: str,
        *,
        content: bytes | Iterator[bytes] | None = None,
        timeout_s: float = TIMEOUT_S,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send a request to a service or a pod through the API server; return any answer.

        Args:
            method: HTTP's.
            path: `/api/v1/namespaces/N/services/http:NAME:PORT/proxy/…`.
            content: What is sent.
            timeout_s: Longest silence.
            headers: More of them; the API server removes `Authorization`.

        Raises:
            TargetUnreachable: The API server does not answer, or does not reach it.
            Forbidden: This user may not.
        """
        self._count()
        what = "/".join(path.split("/")[4:7])
        limit = httpx.Timeout(TIMEOUT_S, read=timeout_s, write=timeout_s)
        given = {**(headers or {}), **self._headers()}
        try:
            answer = self._http.request(
                method, path, content=content, timeout=limit, headers=given, extensions=self._more
            )
        except httpx.HTTPError as fault:
            raise self.unreachable("ask", what, fault) from fault
        if answer.status_code == 403 and _status(answer):
            raise self.fault("ask", what, answer)
        if answer.status_code == 503 and _status(answer):
            reason = _status(answer).get("message", "it does not answer")
            raise TargetUnreachable("ask", what, str(reason)[:SHOWN], "run this again", str(self))
        return answer

    # -- requests ------------------------------------------------------------------------------

    def raw(self, path: str) -> Object:
        """Return what the API has at a path: versions, groups."""
        return _object(self._send("ask", str(self), "GET", path))

    def _send(
        self,
        doing: str,
        what: str,
        method: str,
        path: str,
        *,
        json_: Object | None = None,
        known: tuple[int, ...] = (),
        once: bool = False,
        **more: Any,
    ) -> httpx.Response:
        """Send a request, again where that cannot do anything twice.

        Args:
            doing: What for, in an error.
            what: Of what, in an error.
            method: HTTP's.
            path: Where.
            json_: What is sent.
            known: Statuses that the caller reads himself.
            once: Whether a request whose answer was lost may have been done, and must not be again.
            more: For httpx.
        """
        headers = {**self._headers(), **more.pop("headers", {})}
        if json_ is not None:
            more["content"] = json.dumps(json_).encode()
            headers["content-type"] = "application/json"
        pause_s = _FIRST_PAUSE_S
        for attempt in range(1, self._attempts + 1):
            last = attempt == self._attempts
            self._count()
            try:
                answer = self._http.request(
                    method, path, headers=headers, extensions=self._more, **more
                )
            except httpx.ConnectError as fault:
                if last:
                    raise self.unreachable(doing, what, fault) from fault
            except httpx.HTTPError as fault:
                if last or once:
                    raise self.unreachable(doing, what, fault) from fault
            else:
                self._note_time(answer)
                if answer.is_success or answer.status_code in known:
                    return answer
                if last or answer.status_code not in AGAIN or (once and answer.status_code != 429):
                    raise self.fault(doing, what, answer)
                pause_s = max(pause_s, _asked_pause_s(answer))
            time.sleep(pause_s * random.uniform(0.7, 1.3))
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
        raise AssertionError("the last attempt returns or raises")

    def _headers(self) -> dict[str, str]:
        token = self.access.token()
        return {"authorization": f"Bearer {token}"} if token else {}

    def _note_time(self, answer: httpx.Response) -> None:
        said = answer.headers.get("date")
        if said:
            self._server_ahead_s = parsedate_to_datetime(said).timestamp() - time.time()

    def _count(self) -> None:
        with self._counting:
            self.calls += 1

    # -- errors --------------------------------------------------------------------------------

    def unreachable(self, doing: str, what: str, fault: Exception) -> TargetUnreachable:
        """Return the error for a request that was not answered."""
        said = str(fault) or type(fault).__name__
        server = self.access.server
        if "CERTIFICATE_VERIFY_FAILED" in said:
            said = said.partition("verify failed: ")[2].partition(" (_ssl")[0] or said
            reason = f"the certificate of its API server {server} is not trusted: {said[:SHOWN]}"
            remedy = "check `certificate-authority-data` in the kubeconfig"
            return TargetUnreachable(doing, what, reason, remedy, str(self))
        reason = f"its API server {server} does not answer: {said[:SHOWN]}"
        remedy = "check that this machine reaches it, and run this again"
        return TargetUnreachable(doing, what, reason, remedy, str(self))

    def fault(self, doing: str, what: str, answer: httpx.Response) -> TargetError:
        """Return the error for an answer that is none of success."""
        said = str(_status(answer).get("message") or answer.text)
        return refusal(doing, what, answer.status_code, said, str(self))


def _proxy_of(server: str) -> str | None:
    """Return the proxy that the environment names for a server, as kubectl takes it."""
    parts = urlsplit(server)
    if proxy_bypass(parts.hostname or ""):
        return None
    return getproxies().get(parts.scheme)


def _what(kind: Kind, name: str, namespace: str) -> str:
    inside = f" in namespace '{namespace}'" if namespace and kind.namespaced else ""
    return f"{kind.name} '{name}'{inside}" if name else f"{kind.plural}{inside}"


def _object(answer: httpx.Response) -> Object:
    found: Object = answer.json()
    return found


def _status(answer: httpx.Response) -> Mapping[str, Any]:
    """Return what the API server itself says of a failure; empty when somebody else answered."""
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) and found.get("kind") == "Status" else {}


def _asked_pause_s(answer: httpx.Response) -> float:
    asked = answer.headers.get("retry-after", "")
    return min(float(asked), _LONGEST_PAUSE_S) if asked.isdigit() else 0.0
