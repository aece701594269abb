"""What of a workspace's logs has been sent to its collector, as its service writes it down.

The service writes one document, goes on from it when it starts again, and `status` reads it.
"""

from datetime import datetime

from inference_provider.observed import Frozen
from inference_provider.targets.log_tail import Position
from inference_provider.workspace.shown_time import shown_time


class SentLogs(Frozen):
    """How far logs have been sent, and what was not."""

    positions: dict[str, Position] = {}
    """By the name of the log in its workspace's folder."""
    fault: str = ""
    """Why the collector takes none now."""
    since: datetime | None = None
    """Since when."""
    lost: int = 0
    """How often lines were gone before they could be sent."""
    lost_at: datetime | None = None
    """When that was seen last."""
    rejected: int = 0
    """Lines that the collector has refused for what they are."""

    def failing(self, fault: str, now: datetime) -> "SentLogs":
        since = self.since if self.fault else now
        return self.model_copy(update={"fault": fault, "since": since})

    def having_lost(self, times: int, now: datetime) -> "SentLogs":
        return (
            self.model_copy(update={"lost": self.lost + times, "lost_at": now}) if times else self
        )


def read(document: bytes) -> SentLogs:
    """Return what a document says; nothing where it cannot be read: then all is sent again."""
    try:
        return SentLogs.model_validate_json(document)
    except ValueError:
        return SentLogs()


def described(url: str, sent: SentLogs) -> str:
    """Say in a status where logs go, or why they do not."""
    said = f"logs go to {url}"
    if sent.fault:
        said = f"logs wait for {url} since {shown_time(sent.since)}: {sent.fault}"
    if sent.lost:
        times = f"{sent.lost} times, last" if sent.lost > 1 else "once,"
        said += f"; lines were lost {times} at {shown_time(sent.lost_at)}"
    if sent.rejected:
        said += f"; {sent.rejected} lines were refused there"
    return said
