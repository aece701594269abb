"""How often programs ended by themselves, as counted by `watch.py`."""

from pathlib import Path

from pydantic import TypeAdapter

from inference_provider.workspace.endings import Endings

_ENDINGS = TypeAdapter(dict[str, Endings])


def read_endings(path: Path) -> dict[str, Endings]:
    """Return the counts by program; empty when the file is missing or unreadable."""
    try:
        return _ENDINGS.validate_json(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
