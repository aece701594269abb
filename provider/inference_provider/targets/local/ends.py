"""How often programs ended by themselves, as `watch.py` counted."""

from pathlib import Path

from pydantic import TypeAdapter

from inference_provider.workspace.endings import Endings

_ENDINGS = TypeAdapter(dict[str, Endings])


def read_endings(path: Path) -> dict[str, Endings]:
    """Return what was counted, by program; nothing when nothing was, or it cannot be read."""
    try:
        return _ENDINGS.validate_json(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
