"""Speaks to a cluster's API, with plain dictionaries."""

import base64
import ssl
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml

_MANAGER = "inference-tests"
_PAUSE_S = 0.1


class Api:
    """One cluster, as the current context of a KUBECONFIG names it."""

    def __init__(self, kubeconfig: Path) -> None:
        given = yaml.safe_load(kubeconfig.read_text())
        context = _named(given["contexts"], given["current-context"])["context"]
        cluster = _named(given["clusters"], context["cluster"])["cluster"]
        user = _named(given["users"], context["user"])["user"]
        headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        self.http = httpx.Client(
            base_url=cluster["server"],
            verify=_trust(cluster, user),
            headers=headers,
            timeout=30,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.http.close()

    def answers(self, path: str) -> bool:
        return self.http.get(path).is_success

    def get(self, path: str, **query: str) -> dict[str, Any]:
        return _checked(self.http.get(path, params=query)).json()

    def text(self, path: str, **query: str) -> str:
        return _checked(self.http.get(path, params=query)).text

    def items(self, path: str, **query: str) -> list[dict[str, Any]]:
        return self.get(path, **query)["items"]

    def create(self, path: str, given: dict[str, Any]) -> dict[str, Any]:
        return _checked(self.http.post(path, json=given)).json()

    def apply(self, *objects: dict[str, Any]) -> None:
        """Create or change objects, by server-side apply."""
        for one in objects:
            answer = self.http.patch(
                path_of(one),
                params={"fieldManager": _MANAGER, "force": "true"},
                headers={"Content-Type": "application/apply-patch+yaml"},
                json=one,
            )
            _checked(answer)

    def delete(self, *paths: str) -> None:
        """Delete objects, at once and with what they own; those that are gone are no fault."""
        options = {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}
        for path in paths:
            answer = self.http.request("DELETE", path, json=options)
            if answer.status_code != 404:
                _checked(answer)

    def until(self, path: str, found: Callable[[dict[str, Any]], Any], limit_s: float = 60) -> Any:
        """Wait for what is found in an object, which may not exist yet, and return it."""
        until_s = time.monotonic() + limit_s
        while True:
            answer = self.http.get(path)
            seen = answer.json()
            if answer.is_success and (value := found(seen)):
                return value
            if time.monotonic() > until_s:
                raise TimeoutError(f"{path} after {limit_s} s: {seen.get('status', seen)}")
            time.sleep(_PAUSE_S)

    def until_gone(self, path: str, limit_s: float = 60) -> None:
        """Wait until there is no such object."""
        until_s = time.monotonic() + limit_s
        while self.answers(path):
            if time.monotonic() > until_s:
                raise TimeoutError(f"{path} is there after {limit_s} s")
            time.sleep(_PAUSE_S)

    def until_ready(self, path: str, limit_s: float = 60) -> dict[str, Any]:
        """Wait until a pod or a node is ready, and return it."""
        return self.until(path, lambda seen: seen if condition(seen, "Ready") else None, limit_s)


def condition(seen: dict[str, Any], kind: str) -> bool:
    """Say whether an object's status has a condition that is true."""
    stated = seen.get("status", {}).get("conditions") or []
    return any(one["type"] == kind and one["status"] == "True" for one in stated)


def path_of(given: dict[str, Any]) -> str:
    """Return where the API has an object."""
    version, kind, meta = given["apiVersion"], given["kind"].lower(), given["metadata"]
    start = "/api/v1" if version == "v1" else f"/apis/{version}"
    within = f"/namespaces/{meta['namespace']}" if "namespace" in meta else ""
    plural = (
        f"{kind[:-1]}ies"
        if kind.endswith("y")
        else f"{kind}es"
        if kind.endswith("s")
        else f"{kind}s"
    )
    return f"{start}{within}/{plural}/{meta['name']}"


def _checked(answer: httpx.Response) -> httpx.Response:
    if not answer.is_success:
        asked = answer.request
        raise RuntimeError(f"{asked.method} {asked.url}: {answer.status_code} {answer.text[:500]}")
    return answer


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(one for one in entries if one["name"] == name)


def _trust(cluster: dict[str, Any], user: dict[str, Any]) -> ssl.SSLContext:
    trusted = ssl.create_default_context()
    if authority := _pem(cluster, "certificate-authority"):
        trusted.load_verify_locations(cadata=authority)
    if (certificate := _pem(user, "client-certificate")) and (key := _pem(user, "client-key")):
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(f"{certificate}\n{key}")
            file.flush()
            trusted.load_cert_chain(file.name)
    return trusted


def _pem(given: dict[str, Any], name: str) -> str:
    if data := given.get(f"{name}-data"):
        return base64.b64decode(data).decode()
    return Path(given[name]).read_text() if name in given else ""
