"""The file in which drift reviews keep what they have seen: `--history FILE`.

A review changes nothing in a workspace, and who may only read one may review it. So the history is
a file of whoever reviews: a CI system caches it from one run to the next. It holds addresses, names
of fields and times; no value.
"""

from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from inference_provider.cli import strict_json
from inference_provider.errors import TargetError
from inference_provider.files.reading import STACK_FILE_MIB, Unreadable, read_text
from inference_provider.reviewed import History, Key
from inference_provider.targets.private_file import write_private
from inference_provider.waivers import Sighting

_ANOTHER = "name another file"
_AGAIN = f"delete it to start a new history, or {_ANOTHER}"


class _Entry(Sighting):
    address: str
    field: str
    verdict: str

    @field_validator("first_seen", "last_seen")
    @classmethod
    def _known(cls, time: datetime) -> datetime:
        """Refuse what no review wrote, and no zone can be told of."""
        if time.tzinfo is None or not 1970 <= time.year < datetime.max.year:
            raise ValueError("no time of a review")
        return time


class _Document(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    version: Literal[1] = 1
    stack: str
    findings: tuple[_Entry, ...]


def read_history(path: Path, stack: str) -> History:
    """Return what earlier reviews of a stack have seen; nothing where there is no file yet.

    Raises:
        TargetError: It cannot be read, or is of another stack.
    """
    if not path.exists():
        return {}
    try:
        value = strict_json.read(read_text(path, str(path), STACK_FILE_MIB))
        if isinstance(value, dict) and value.get("version", 1) not in (1, None):
            reason = f"a newer release wrote it (version {value['version']})"
            raise _refused(path, reason, "use that release, or name another file")
        document = _Document.model_validate(value)
    except Unreadable as exc:
        raise _refused(path, exc.reason, exc.remedy or _ANOTHER) from exc
    except ValidationError:
        ours = isinstance(value, dict) and value.get("version") == 1 and "findings" in value
        reason = "it is no history of drift reviews"
        raise _refused(path, reason, _AGAIN if ours else _ANOTHER) from None
    except ValueError:
        raise _refused(path, "it is no history of drift reviews", _ANOTHER) from None
    if document.stack != stack:
        reason = f"it is of stack '{document.stack}', not of '{stack}'"
        raise _refused(path, reason, "name a file of this stack's own")
    return {Key(one.address, one.field, one.verdict): one for one in document.findings}


def write_history(path: Path, stack: str, history: History) -> None:
    """Write what reviews have seen, whole or not at all. Raises as `write_private`."""
    findings = tuple(
        _Entry(**key._asdict(), **seen.model_dump(include=set(Sighting.model_fields)))
        for key, seen in sorted(history.items())
    )
    document = _Document(stack=stack, findings=findings)
    write_private(path, document.model_dump_json(indent=2) + "\n")


def _refused(path: Path, reason: str, remedy: str) -> TargetError:
    return TargetError("read", f"history '{path}'", reason, remedy)
