"""What a person wants of logs, and what a target gives.

Goes in: a question about instances, or about the router's calls. Comes out: lines with the instance
and the time, or the router's own lines.
"""

from datetime import datetime
from typing import Literal, NamedTuple

from inference_provider.observed import Frozen

Container = Literal["inference-server", "storage-initializer"]
"""Azure ML's names of what runs for an instance: the server, and before it what fetches content."""


class LogQuery(Frozen):
    """Which lines of the instances of a deployment are asked for."""

    lines: int = 100
    """The last ones of each instance."""
    follow: bool = False
    """Whether new ones are waited for, after those."""
    since: datetime | None = None
    """Without what is older; to five seconds where a target writes no times itself."""
    instance: str = ""
    """Whose, by its name; those of all when empty."""
    container: Container = "inference-server"

    def wants(self, instance: str) -> bool:
        return self.instance in ("", instance)


class LogLine(NamedTuple):
    """One line that an instance has printed."""

    instance: str
    text: str
    time: datetime | None = None
    """When it was written, as far as its target knows."""


class CallQuery(Frozen):
    """Which calls of a router's access log are asked for."""

    last: int = 100
    """The newest."""
    since: datetime | None = None
    endpoint: str = ""
    deployment: str = ""
    """Name in its endpoint."""
    request_id: str = ""
