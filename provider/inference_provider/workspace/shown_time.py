"""A time as a status shows it. Pure."""

from datetime import datetime


def shown_time(time: datetime | None) -> str:
    """Format a time of UTC for a person; `never` for none."""
    return time.isoformat(timespec="seconds").replace("+00:00", "Z") if time else "never"
