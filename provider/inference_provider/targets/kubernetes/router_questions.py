"""Questions to the pods of a router, through the API server.

Any pod of the cluster reaches their port too: who asks shows a pass (`question_pass.py`).
"""

import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx

from inference_provider.errors import PermanentError, TargetError, TargetUnreachable
from inference_provider.targets.envoy.agent_errors import read
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.question_pass import HEADER as PASS
from inference_provider.targets.kubernetes.question_pass import ShownPass
from inference_provider.targets.kubernetes.releases import HEADER, other_release

Asked = Callable[[str], Any]
WAIT_S = 20.0
"""Longest time for which a pod is asked to wait for a revision."""
_HEALTHY_S = 40.0
"""Time for an answer about health, for which a pod waits half a minute."""
_AT_ONCE = 8
_SHOWN = 300
_REFUSED = 403


class OtherRelease(TargetError, PermanentError):
    """A pod's image is of a release that this one does not understand."""


class RouterQuestions:
    """Asks the pods of one router.

    Args:
        client: Its cluster.
        namespace: Where it is.
    """

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._pass = ShownPass(client, namespace)
        self.fit = False
        """Whether all that were asked understand this release."""

    @staticmethod
    def side_by_side(pods: Iterable[str], ask: Asked) -> dict[str, Any]:
        """Ask several pods at once; return the answer of each, or that it does not answer."""

        def asked(pod: str) -> Any:
            try:
                return ask(pod)
            except TargetUnreachable as silent:
                return silent

        called = sorted(pods)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return dict(zip(called, pool.map(asked, called), strict=True))

    def refuse_others(self, pods: Iterable[str]) -> None:
        """Raise OtherRelease if a pod would read the records in another way."""
        found = self.side_by_side(pods, lambda pod: self.get(pod, "live")).values()
        self.fit = not any(isinstance(one, TargetUnreachable) for one in found)

    def get(self, pod: str, path: str) -> Mapping[str, Any]:
        """Ask for a path. Raises TargetUnreachable, or OtherRelease."""
        return self._read(pod, self._sent("GET", pod, path, WAIT_S + 10))

    def ask(
        self,
        pod: str,
        question: str,
        *,
        ends: bool = False,
        within_s: float = _HEALTHY_S,
        **given: Any,
    ) -> Any:
        """Ask a question.

        Args:
            pod: Whom.
            question: Which, with what belongs to it.
            ends: Whether the pod ends: then one of another release counts as gone.
            within_s: Longest wait for its answer.
            given: What belongs to the question.

        Raises:
            TargetUnreachable: It does not answer.
            OtherRelease: It is of another release.
            Forbidden: This user may not ask it, or not read what is shown to it.
            InferenceError: Its own error.
        """
        text = json.dumps({"ask": question, **given}).encode()
        sent = partial(self._sent, "POST", pod, "ask", within_s, content=text)
        shown = self._pass.get()
        answer = sent(shown=shown)
        if answer.status_code == _REFUSED:  # somebody may have made it again
            shown = self._pass.get(refused=shown)
            answer = sent(shown=shown)
        found = self._read(pod, answer, shown, ends=ends)
        if "error" in found:
            raise read(found["error"])
        return found["answer"]

    def _sent(
        self,
        method: str,
        pod: str,
        path: str,
        timeout_s: float,
        *,
        content: bytes | None = None,
        shown: str = "",
    ) -> httpx.Response:
        place = f"/api/v1/namespaces/{self._namespace}/pods/{pod}:{names.SYNC_PORT}/proxy/{path}"
        headers = {PASS: shown} if shown else {}  # pods of an older release want none
        return self._client.proxy(
            method, place, content=content, timeout_s=timeout_s, headers=headers
        )

    @staticmethod
    def _read(
        pod: str, answer: httpx.Response, shown: str = "", *, ends: bool = False
    ) -> Mapping[str, Any]:
        what = f"router pod {pod}"
        if fault := other_release(answer.headers.get(HEADER, "")):
            # of something on the way: of the API server too, which is busy or finds no such pod
            gone = ends or answer.status_code in {404, 429} or answer.status_code >= 500
            raise (TargetUnreachable if gone else OtherRelease)("ask", what, *fault)
        if answer.status_code == _REFUSED:
            raise TargetUnreachable("ask", what, *_why_refused(shown))
        if answer.status_code != 200:
            reason = f"it answers {answer.status_code}: {answer.text[:_SHOWN]}"
            raise TargetUnreachable("ask", what, reason, "run this again")
        found: Mapping[str, Any] = answer.json()
        return found


def _why_refused(shown: str) -> tuple[str, str]:
    """Say why a pod answers a question by 403, and what to do."""
    secret = f"Secret '{names.QUESTIONS_NAME}'"
    if shown:
        return f"it does not know what {secret} has now", "run this again"
    reason = f"{secret}, by which clients may ask it, is gone or has no pass"
    return reason, "run `inferctl up`, which makes it again"
