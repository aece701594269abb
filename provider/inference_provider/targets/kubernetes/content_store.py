"""What the content pod of a workspace keeps, asked through the API server.

Goes in: archives. Comes out: which there are. Nothing of an archive is whole in memory.
"""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

import httpx

from inference_provider.errors import OutOfCapacity, TargetError, TargetUnreachable
from inference_provider.targets.kubernetes import content_passes, names
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.objects import SECRET
from inference_provider.targets.kubernetes.pods import is_ready
from inference_provider.targets.kubernetes.releases import HEADER, other_release
from inference_provider.targets.kubernetes.role_pods import RolePods

_ATTEMPTS, _FEW_ATTEMPTS = 6, 2
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 4.0
_SILENCE_S = 150.0
"""The pod answers when all of an archive lies on its disk."""
_FRESH_S = 0.5
"""How long a list counts as new: an observation asks for each resource."""
_SHOWN = 300
_NO_BUCKET = 424
"""What it depends on, its bucket, fails: it says why, and what to do."""


class Changed(Exception):
    """What arrived is not what was to be sent."""


class Listed(NamedTuple):
    """Everything that is kept."""

    assets: Mapping[str, float]
    """Time since the last use of each archive, in seconds, by its hash."""
    environments: Mapping[str, str]
    """Hash of the archive of each environment, by its name; empty where that is gone."""


class ContentStore:
    """The content service of one workspace."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        workspace: str,
        sleep: Callable[[float], None] = time.sleep,
        recorded: Callable[[], str] = lambda: "",
    ) -> None:
        """Open it; `recorded` returns the token that is in the records, which are read anyway."""
        self._client = client
        self._pods = RolePods(client, namespace, workspace, names.CONTENT)
        self._sleep = sleep
        self._recorded = recorded
        service = f"services/http:{names.CONTENT_NAME}:{names.CONTENT_PORT}"
        self._namespace = namespace
        self._token: str | None = None
        self._base = f"/api/v1/namespaces/{namespace}/{service}/proxy"
        self._listing = threading.Lock()
        self._seen: tuple[float, Listed | TargetError] | None = None

    def token(self) -> str:
        """Return what lets a client of this workspace change its content; empty where none is."""
        if self._token is None:
            self._token = self._recorded() or self._shown() or None
        return self._token or ""

    def _shown(self) -> str:
        """Return the token that the pod was given; empty where there is no Secret of it."""
        secret = self._client.get(SECRET, self._namespace, names.CONTENT_NAME)
        kept = ((secret or {}).get("data") or {}).get(content_passes.TOKEN, "")
        return base64.b64decode(kept).decode(errors="replace")

    def has(self, digest: str) -> bool:
        """Whether an archive is kept; if so it counts as used now."""
        return self._ask("look for", "HEAD", f"/assets/{digest}", known=(404,)).status_code != 404

    def put(self, digest: str, size: int, parts: Callable[[], Iterator[bytes]]) -> None:
        """Send an archive.

        Args:
            digest: Sha256 of it.
            size: Bytes of it.
            parts: Returns it; called again for each attempt.

        Raises:
            Changed: It has another hash.
            OutOfCapacity: The volume, or the bucket, is full.
        """
        headers = {"content-length": str(size), "content-type": "application/x-tar"}
        path = f"/assets/{digest}"
        answer = self._ask("copy", "PUT", path, parts=parts, headers=headers, known=(422, 507))
        self._seen = None
        if answer.status_code == 422:
            raise Changed(digest)
        self._refuse_full("copy", f"content {digest[:12]}", answer)

    def _refuse_full(self, doing: str, what: str, answer: httpx.Response) -> None:
        if answer.status_code == 507:
            remedy = "enlarge it, or delete models that are no longer needed"
            raise OutOfCapacity(doing, what, _text(answer), remedy, str(self._client))

    def check(self) -> None:
        """Make sure that the bucket in which content lies can be used.

        Raises:
            TargetUnreachable: It cannot.
            OutOfCapacity: It is full.
        """
        answer = self._ask("keep", "GET", "/bucket", known=(404, 507))
        self._refuse_full("keep", "content", answer)

    def clear(self) -> None:
        """Delete what lies in the bucket. Raises TargetUnreachable if that cannot be done."""
        self._ask("delete", "DELETE", "/bucket", known=(404,))
        self._seen = None

    def remove(self, digest: str, unused_s: float = 0.0) -> bool:
        """Remove an archive that nobody has used for so long; return whether it is gone."""
        path = f"/assets/{digest}?unused_s={unused_s:.0f}"
        answer = self._ask("remove", "DELETE", path, known=(404, 409), attempts=_FEW_ATTEMPTS)
        self._seen = None
        return answer.status_code != 409

    def forget(self, environment: str) -> None:
        """Remove the name of an environment; its archive goes when it is not used any more."""
        self._ask("remove", "DELETE", f"/environments/{environment}", known=(404,))
        self._seen = None

    def listed(self, *, fresh: bool = False) -> Listed:
        """Return all that is kept, or its fault, asked for once in an observation."""
        with self._listing:
            if fresh or self._seen is None or time.monotonic() - self._seen[0] > _FRESH_S:
                try:
                    found: Listed | TargetError = self._list()
                except TargetError as fault:
                    found = fault
                self._seen = time.monotonic(), found
            found = self._seen[1]
        if isinstance(found, TargetError):
            raise found
        return found

    def _list(self) -> Listed:
        found = json.loads(self._ask("list", "GET", "/assets", attempts=_FEW_ATTEMPTS).content)
        idle_s = {one["digest"]: float(one["idle_s"]) for one in found["assets"]}
        named = {name: digest or "" for name, digest in found["environments"].items()}
        return Listed(idle_s, named)

    def _ask(
        self,
        doing: str,
        method: str,
        path: str,
        *,
        parts: Callable[[], Iterator[bytes]] | None = None,
        headers: Mapping[str, str] | None = None,
        known: tuple[int, ...] = (),
        attempts: int = _ATTEMPTS,
    ) -> httpx.Response:
        """Send one request, again while the pod starts or moves."""
        pause_s = _FIRST_PAUSE_S
        for attempt in range(1, attempts + 1):
            try:
                content = parts() if parts else None
                given = {**(headers or {}), content_passes.HEADER: self.token()}
                answer = self._client.proxy(
                    method,
                    self._base + path,
                    content=content,
                    timeout_s=_SILENCE_S,
                    headers=given,
                )
            except TargetUnreachable as silent:
                if attempt == attempts:
                    raise self._why(doing, silent) from None
            else:
                self._refuse_other_release(answer)
                if answer.is_success or answer.status_code in known:
                    self._forget_fault()
                    return answer
                old = answer.status_code == 403 and attempt == 1  # of a workspace before this one
                if attempt == attempts or (answer.status_code < 500 and not old):
                    break
                self._token = self._shown() if old else self._token
            self._sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        if answer.status_code == _NO_BUCKET and method == "HEAD":  # its answer has no text
            self.check()
        raise self._refusal(doing, answer)

    def _refusal(self, doing: str, answer: httpx.Response) -> TargetError:
        """Return the error that says what the content pod has answered."""
        if answer.status_code == _NO_BUCKET:
            reason, _, remedy = answer.text.strip().partition("\n")
            reason = reason or "its bucket did not answer for a moment"
            return TargetUnreachable(doing, "content", reason, remedy, str(self._client))
        reason = f"it answers {answer.status_code}: {_text(answer)}"
        what, remedy = f"content by {names.CONTENT_NAME}", "look at the log of its pod"
        is_away = answer.status_code in (403, 502, 503, 504)  # 403: its token is another one
        error = TargetUnreachable if is_away else TargetError
        return error(doing, what, reason, remedy, str(self._client))

    def _forget_fault(self) -> None:
        """Let the next look ask again: what was silent a moment ago answers."""
        if self._seen is not None and isinstance(self._seen[1], TargetError):
            self._seen = None

    def _why(self, doing: str, silent: TargetUnreachable) -> TargetUnreachable:
        """Return why nothing answers, as the pod says it, where that is the cause."""
        with suppress(TargetError):
            pods = self._pods.all()
            if not any(map(is_ready, pods)):
                reason = f"what keeps content is not ready: {self._pods.why(pods)}"
                at = str(self._client)
                return TargetUnreachable(doing, "content", reason, self._pods.remedy, at)
        return silent

    @staticmethod
    def _refuse_other_release(answer: httpx.Response) -> None:
        said = answer.headers.get(HEADER)
        if said is not None and (fault := other_release(said)):
            raise TargetError("ask", f"the pod of {names.CONTENT_NAME}", *fault)


def _text(answer: httpx.Response) -> str:
    return " ".join(answer.text.split())[:_SHOWN]
