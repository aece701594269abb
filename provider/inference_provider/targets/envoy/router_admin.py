"""Client of a running router's admin socket: pages, statistics, the runtime layer in force.

`router/status.py` interprets the answers. Uses the standard library, because a change of weights
should not have to load an HTTP client.
"""

import http.client
import json
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from inference_provider.errors import TargetUnreachable
from inference_provider.targets.loopback import connection_to

_TIMEOUT_S = 10.0


class Answer(NamedTuple):
    """One page of the admin socket."""

    status: int
    text: str


class RouterAdmin:
    """Queries one router through its socket, which only its owner can open.

    Every query has its own connection, so several threads may query at once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, path: str) -> Answer:
        """Get one admin page.

        Raises:
            TargetUnreachable: The router does not run or does not answer.
        """
        return self._ask("GET", path)

    def post(self, path: str) -> None:
        """Post to one admin page; raises the same errors as `get`."""
        self._ask("POST", path)

    def stats(self, pattern: str, kind: str = "All") -> dict[str, Any]:
        """Return the statistics whose name matches a regular expression.

        Args:
            pattern: Searched for in the name; add `^` and `$` to match all of it.
            kind: All, Counters, Gauges or TextReadouts; with many endpoints, one kind is some ten
                times faster than All.

        Raises:
            TargetUnreachable: The router does not answer, or what it answers are no statistics: a
                query of more than 60 KiB, for example, is refused.
        """
        page = self.get(f"/stats?format=json&type={kind}&filter={quote(pattern)}")
        found = self._json_of(page)["stats"]
        return {stat["name"]: stat["value"] for stat in found if "name" in stat}

    def histograms(self, pattern: str) -> list[dict[str, Any]]:
        """Return the histograms whose name matches, in detail: `name`, and bins in `totals`.

        Envoy adds requests up every 5 s. Raises the same errors as `stats`.
        """
        chosen = f"format=json&type=Histograms&histogram_buckets=detailed&filter={quote(pattern)}"
        found = self._json_of(self.get(f"/stats?{chosen}"))["stats"]
        return [one for part in found for one in part.get("histograms", {}).get("details", ())]

    def counted(
        self, pattern: str
    ) -> tuple[dict[str, int], dict[str, tuple[tuple[float, int], ...]]]:
        """Return the counters, and the histograms, whose name matches a regular expression.

        Of a histogram, how many values were at most so large, by rising size; up to 5 s old.

        Raises:
            TargetUnreachable: As `stats`.
        """
        page = self.get(f"/stats?format=json&histogram_buckets=cumulative&filter={quote(pattern)}")
        found = self._json_of(page)["stats"]
        counters = {one["name"]: int(one["value"]) for one in found if "name" in one}
        histograms = {
            one["name"]: tuple((each["upper_bound"], each["cumulative"]) for each in one["buckets"])
            for group in found
            for one in group.get("histograms", ())
        }
        return counters, histograms

    def warming(self, pattern: str) -> list[str]:
        """Return the clusters that are not in use yet, of those whose name matches all of it."""
        chosen = f"resource=dynamic_warming_clusters&name_regex={quote(pattern)}"
        found = json.loads(self.get(f"/config_dump?{chosen}").text).get("configs", [])
        return [one["cluster"]["name"] for one in found]

    def runtime(self) -> dict[str, str]:
        """Return the runtime layer in force; raises the same errors as `stats`."""
        entries = self._json_of(self.get("/runtime"))["entries"]
        return {name: entry["final_value"] for name, entry in entries.items()}

    def _json_of(self, page: Answer) -> dict[str, Any]:
        with suppress(ValueError):
            if page.status == 200 and isinstance(found := json.loads(page.text), dict):
                return found
        raise self._unreachable(f"its admin socket answers {page.status}, and no JSON")

    def _unreachable(self, cause: str) -> TargetUnreachable:
        remedy = "run this again: a router that ended is started again"
        return TargetUnreachable("ask", "the router", cause, remedy, str(self.path))

    def _ask(self, method: str, path: str) -> Answer:
        connection = connection_to(str(self.path), _TIMEOUT_S)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read().decode(errors="replace"))
        except (OSError, http.client.HTTPException) as error:
            cause = f"its admin socket does not answer: {type(error).__name__}"
            raise self._unreachable(cause) from error
        finally:
            connection.close()
