"""A running router's admin socket -> what is in force: versions, weights, health, requests.

Reads only, apart from `post`. What to write, and in which order, is in `router.py`.
"""

import pathlib
import re
import weakref
from typing import Any
from urllib.parse import quote

import httpx

from inference_provider.errors import TargetUnreachable
from inference_provider.router.envoy import MIRROR_PREFIX, WEIGHT_PREFIX
from inference_provider.targets.loopback import loopback_client, unix_socket

Shares = dict[str, dict[str, int]]


class RouterAdmin:
    """Asks one router through its socket, which only its owner can open."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self._client = loopback_client(
            timeout_s=10, transport=unix_socket(str(path)), base_url="http://admin"
        )
        weakref.finalize(self, self._client.close)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def get(self, path: str) -> httpx.Response:
        """Ask for one admin page.

        Raises:
            TargetUnreachable: The router does not run or does not answer.
        """
        return self._ask("GET", path)

    def post(self, path: str) -> None:
        """Change one thing; the same errors as `get`."""
        self._ask("POST", path)

    def stats(self, pattern: str, kind: str = "All") -> dict[str, Any]:
        """Return the statistics whose name matches a regular expression.

        Args:
            pattern: Searched in the name; `^` and `$` are the caller's.
            kind: Counters, Gauges or TextReadouts: with many endpoints some ten times faster.
        """
        found = self.get(f"/stats?format=json&type={kind}&filter={quote(pattern)}").json()["stats"]
        return {stat["name"]: stat["value"] for stat in found if "name" in stat}

    def runtime(self) -> dict[str, str]:
        """Return the runtime layer in force."""
        entries = self.get("/runtime").json()["entries"]
        return {name: entry["final_value"] for name, entry in entries.items()}

    def _ask(self, method: str, path: str) -> httpx.Response:
        try:
            return self._client.request(method, path)
        except httpx.HTTPError as error:
            raise TargetUnreachable(
                "ask",
                "the router",
                f"its admin socket does not answer: {type(error).__name__}",
                "run this again: where it died, supervisord starts it again",
                str(self.path),
            ) from error


def shares(layer: dict[str, str], prefix: str) -> Shares:
    """Return `endpoint -> deployment -> percent` from a runtime layer."""
    found: Shares = {}
    for key, value in layer.items():
        if key.startswith(prefix) and key.count("/") == 1:
            endpoint, _, deployment = key.removeprefix(prefix).partition("/")
            found.setdefault(endpoint, {})[deployment] = int(value)
    return found


def weights_of(layer: dict[str, str]) -> Shares:
    """Return the split of every endpoint."""
    return shares(layer, WEIGHT_PREFIX)


def mirrors_of(layer: dict[str, str]) -> Shares:
    """Return the mirror of every endpoint that has one."""
    return shares(layer, MIRROR_PREFIX)


def per_cluster(stats: dict[str, Any], stat: str) -> dict[str, int]:
    """Return one statistic by cluster name out of `cluster.<name>.<stat>`."""
    pattern = re.compile(rf"cluster\.(.+)\.{re.escape(stat)}")
    matches = ((pattern.fullmatch(name), value) for name, value in stats.items())
    return {match[1]: int(value) for match, value in matches if match}
