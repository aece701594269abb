"""Keys of the workspace's identity provider, fetched beside all requests: none waits for it."""

import math
import time
from collections.abc import Callable
from pathlib import Path

from inference_provider.router.table import ProviderCheck
from inference_provider.targets.envoy.fetched_keys import FetchedKeys
from inference_provider.targets.envoy.key_server import Keeper

ASKED_WITHIN_S = 10
"""Longest time between two looks: after a failure a provider is asked again so soon."""


class ProviderKeys:
    """The keys that were fetched last, in a folder.

    Args:
        folder: Where they are kept, so that they survive a restart.
        check: Returns which tokens count now; None for those of no provider.
    """

    def __init__(self, folder: Path, check: Callable[[], ProviderCheck | None]) -> None:
        self._kept = FetchedKeys(folder)
        self._keeper = Keeper(folder)
        self._check = check
        self._asked = ("", -math.inf)
        """Which URL was looked after last, and when."""

    def text(self, uri: str) -> str:
        """Return the keys that a URL answered last; empty if it never did."""
        return self._kept.text(uri)

    def look(self) -> None:
        """Fetch what is too old; it may wait for the provider for some seconds.

        Call it each second: it asks no sooner than a router would.
        """
        check = self._check()
        uri, now_s = check.jwks_uri if check else "", time.monotonic()
        if check is None or not uri:
            self._kept.forget_others([])
            return
        every_s = min(check.refresh_s, ASKED_WITHIN_S)
        known, at_s = self._asked
        if uri != known or now_s >= at_s + every_s:
            self._asked = uri, now_s
            self._kept.forget_others([uri])
            self._keeper.keys(uri, check.refresh_s - every_s)
