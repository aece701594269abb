"""Requests to a cluster's API server: sent again where that is safe, with errors of ours.

What may be sent again is sent again: when the server is busy, restarts, or closes a connection.
"""

import json
import random
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import httpx

from inference_provider.errors import TargetError, TargetUnreachable
from inference_provider.targets.kubernetes.kubeconfig import Access
from inference_provider.targets.kubernetes.network import CONNECTIONS, network
from inference_provider.targets.kubernetes.objects import Object
from inference_provider.targets.kubernetes.refusals import AGAIN, SHOWN, refusal

MANAGER = "pulumi-inference"
"""Field manager of all that is applied, and user agent."""
TIMEOUT_S, CONNECT_S = 35.0, 10.0
"""Longest silence, and longest wait for a connection; a webhook of the cluster may take 30 s."""
QUICK_S = 5.0
"""Longest silence of what must be answered soon or not at all."""
_ATTEMPTS, _QUICK_ATTEMPTS = 6, 2
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 3.0


class _Entered(NamedTuple):
    """How a request enters the cluster."""

    http: httpx.Client
    headers: Mapping[str, str]


class Connection:
    """Speaks to the API server of one cluster.

    Args:
        access: How it is entered.
        transport: What requests go through, instead of the network.
        attempts: How often a request is sent at most; 1 for a caller that asks again by itself.
        connections: How many there may be at once.
    """

    def __init__(
        self,
        access: Access,
        transport: httpx.BaseTransport | None = None,
        attempts: int = _ATTEMPTS,
        connections: int = CONNECTIONS,
    ) -> None:
        self.access = access
        self._connections = connections
        self._attempts = attempts
        self.calls = 0
        """How many requests it has sent."""
        self._counting = threading.Lock()
        self._server = access.server.rstrip("/")  # httpx takes long to join a URL with its base
        self._server_ahead_s = 0.0
        self._transport = transport
        self._tls = access.tls
        self._http = self._opened()
        self._former: list[httpx.Client] = []
        self._entering = threading.RLock()
        self._more = {"sni_hostname": access.server_name} if access.server_name else {}

    def __str__(self) -> str:
        return f"cluster '{self.access.name}'"

    def _opened(self) -> httpx.Client:
        return httpx.Client(
            transport=self._transport or network(self.access, self._tls, self._connections),
            timeout=httpx.Timeout(TIMEOUT_S, connect=CONNECT_S),
            trust_env=False,
            headers={"user-agent": MANAGER},
        )

    def close(self) -> None:
        for one in (*self._former, self._http):
            one.close()

    @property
    def closed(self) -> bool:
        """Whether no request can be sent any more."""
        return self._http.is_closed

    def server_time_s(self) -> float:
        """Return the API server's time of day, as its last answer said it; seconds since 1970."""
        return time.time() + self._server_ahead_s

    def send(
        self,
        doing: str,
        what: str,
        method: str,
        path: str,
        *,
        json_: Object | None = None,
        known: tuple[int, ...] = (),
        once: bool = False,
        quick: bool = False,
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
            quick: Whether an answer that takes long is of no use.
            more: For httpx.
        """
        if json_ is not None:
            more["content"] = json.dumps(json_).encode()
            more["headers"] = {"content-type": "application/json"}
        if quick:
            more["timeout"] = QUICK_S
        attempts = min(self._attempts, _QUICK_ATTEMPTS) if quick else self._attempts
        pause_s = _FIRST_PAUSE_S
        for attempt in range(1, attempts + 1):
            last = attempt == attempts
            answer = self._tried(doing, what, method, path, may_raise=(last, last or once), **more)
            if answer is not None:
                if _is_strange(answer):
                    raise self._stranger(doing, what, answer)
                if answer.is_success or answer.status_code in known:
                    return answer
                if last or answer.status_code not in AGAIN or (once and answer.status_code != 429):
                    raise self.fault(doing, what, answer)
                pause_s = max(pause_s, _asked_pause_s(answer))
            time.sleep(pause_s * random.uniform(0.7, 1.3))
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
        raise AssertionError("the last attempt returns or raises")

    def _tried(
        self,
        doing: str,
        what: str,
        method: str,
        path: str,
        *,
        may_raise: tuple[bool, bool],
        **more: Any,
    ) -> httpx.Response | None:
        """Send a request once; return None where none came back and it may be sent again.

        Args:
            doing: As in `send`.
            what: The same.
            method: The same.
            path: The same.
            more: The same.
            may_raise: Whether to raise where no connection was made, and where one was lost.
        """
        unconnected, lost = may_raise
        try:
            answer = self._request(method, path, **more)
        except httpx.ConnectError as fault:
            if unconnected:
                raise self.unreachable(doing, what, fault) from fault
        except httpx.HTTPError as fault:
            if lost:
                raise self.unreachable(doing, what, fault) from fault
        else:
            self._note_time(answer)
            return answer
        return None

    def _request(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send a request; again with another token where the first was refused and may be renewed.

        A body that is read as it is sent is gone by then: the caller sends it again.
        """
        given = more.pop("headers", None) or {}
        for attempt in (1, 2):
            self._count()
            entered = self._entered()
            headers = {**given, **entered.headers}
            answer = entered.http.request(
                method, f"{self._server}{path}", headers=headers, extensions=self._more, **more
            )
            if answer.status_code != 401:
                return answer
            self._renew(entered)
            if attempt == 2 or isinstance(more.get("content"), Iterator):
                break
        return answer

    def raw(self, path: str) -> Object:
        """Return what the API has at a path: versions, groups."""
        found: Object = self.send("ask", str(self), "GET", path).json()
        return found

    def lines(
        self, doing: str, what: str, path: str, asked: Mapping[str, str], read_s: float | None
    ) -> Iterator[str]:
        """Yield the lines of an answer as they come.

        Args:
            doing: As in `send`.
            what: The same.
            path: The same.
            asked: Its parameters; empty ones are left out.
            read_s: Longest silence; None for any.
        """
        try:
            for attempt in (1, 2):
                with self._streamed(path, asked, read_s) as answer:
                    if answer.status_code == 401 and attempt == 1:
                        continue  # it was renewed
                    if answer.is_error:
                        answer.read()
                        raise self.fault(doing, what, answer)
                    yield from _lines(answer.iter_bytes())
                    return
        except httpx.HTTPError as fault:
            raise self.unreachable(doing, what, fault) from fault

    @contextmanager
    def _streamed(
        self, path: str, asked: Mapping[str, str], read_s: float | None
    ) -> Iterator[httpx.Response]:
        """Yield an answer whose body is still to come."""
        self._count()
        entered = self._entered()
        with entered.http.stream(
            "GET",
            f"{self._server}{path}",
            params={name: value for name, value in asked.items() if value},
            timeout=httpx.Timeout(TIMEOUT_S, connect=CONNECT_S, read=read_s),
            headers=entered.headers,
            extensions=self._more,
        ) as answer:
            if answer.status_code == 401:
                self._renew(entered)
            yield answer

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
        what = "/".join(path.split("/")[4:7])
        limit = httpx.Timeout(TIMEOUT_S, connect=CONNECT_S, read=timeout_s, write=timeout_s)
        try:
            answer = self._request(method, path, content=content, timeout=limit, headers=headers)
        except httpx.HTTPError as fault:
            raise self.unreachable("ask", what, fault) from fault
        if answer.status_code == 403 and _status(answer):
            raise self.fault("ask", what, answer)
        if answer.status_code == 401 and _status(answer):
            reason = "the credentials are not accepted, or have expired"
            raise TargetUnreachable("ask", what, reason, "log in again", str(self))
        if answer.status_code == 503 and _status(answer):
            reason = _status(answer).get("message", "it does not answer")
            raise TargetUnreachable("ask", what, str(reason)[:SHOWN], "run this again", str(self))
        return answer

    # -- what requests have in common ----------------------------------------------------------

    def _entered(self) -> _Entered:
        """Return what a request is sent with now.

        A connection is of the certificate that it was made with, so another one needs others;
        what is still under way on the former ones ends there.
        """
        with self._entering:
            token, tls = self.access.token(), self.access.current_tls()
            if tls is not self._tls:
                self._former.append(self._http)
                self._tls = tls
                self._http = self._opened()
            return _Entered(self._http, {"authorization": f"Bearer {token}"} if token else {})

    def _renew(self, refused: _Entered) -> None:
        """Have credentials renewed that were refused, unless somebody else has by now."""
        with self._entering:
            if self._entered() == refused:
                self.access.renew()

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

    def _stranger(self, doing: str, what: str, answer: httpx.Response) -> TargetUnreachable:
        """Return the error for a page of somebody else: it says nothing of what is there."""
        said = f"status {answer.status_code}, and a page of its own"
        reason = f"what answers at {self.access.server} is not a Kubernetes API server: {said}"
        remedy = "check the server of the context, and the proxies on the way there"
        return TargetUnreachable(doing, what, reason, remedy, str(self))

    def fault(self, doing: str, what: str, answer: httpx.Response) -> TargetError:
        """Return the error for an answer that is none of success."""
        said = str(_status(answer).get("message") or answer.text)
        return refusal(doing, what, answer.status_code, said, str(self))


def _is_strange(answer: httpx.Response) -> bool:
    """Whether a proxy or a login page has answered; that of a busy one is asked again."""
    first = answer.content.lstrip()[:1]
    if answer.is_success:
        return first != b"{"
    known = answer.status_code == 401 or answer.status_code in AGAIN
    return answer.is_redirect or (first == b"<" and not known)


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


def _lines(parts: Iterator[bytes]) -> Iterator[str]:
    """Yield the lines of what comes in parts; only a line feed ends one, whatever else it has."""
    rest = b""
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        yield from (line.decode(errors="replace").rstrip("\r") for line in whole)
    if rest:
        yield rest.decode(errors="replace")
