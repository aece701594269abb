"""drift-waivers.yaml -> waivers, or every fault in it at once, each with its line."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from inference_provider.errors import Fault, SpecError
from inference_provider.files.lines import LineMap, read_document
from inference_provider.files.reading import STACK_FILE_MIB, Unreadable, read_text
from inference_provider.files.wording import faults_of
from inference_provider.waivers import Waiver

LONGEST_DAYS = 366
"""From today: what is accepted for longer belongs into the stack file."""


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    waivers: tuple[Waiver, ...] = ()


def load_waivers(path: Path, today: date) -> tuple[Waiver, ...]:
    """Read a file of waivers.

    Raises:
        SpecError: With every fault in it.
    """
    try:
        document = read_document(read_text(path, path.name, STACK_FILE_MIB))
    except Unreadable as exc:
        remedy = exc.remedy or "name a file of waivers, like drift-waivers.yaml"
        raise SpecError((Fault("", exc.reason, remedy, exc.line),), str(path)) from exc
    faults, value = list(document.faults), document.value
    found = _File()
    if not any(fault.path == "YAML" for fault in faults):
        try:
            found = _File.model_validate({} if value is None else value)
        except ValidationError as exc:
            faults += faults_of(exc, _File)
        faults += _of_rules(value, today)
    if faults:
        raise SpecError(_placed(faults, document.lines), str(path))
    return found.waivers


def _of_rules(value: Any, today: date) -> list[Fault]:
    """Return the faults of waivers that are well formed each; those that are not are left out."""
    listed = value.get("waivers") if isinstance(value, dict) else None
    faults: list[Fault] = []
    seen: dict[tuple[str, str], int] = {}
    for i, item in enumerate(listed if isinstance(listed, list) else ()):
        try:
            waiver = Waiver.model_validate(item)
        except ValidationError:
            continue
        last = today + timedelta(days=LONGEST_DAYS)
        if waiver.expires > last:
            remedy = f"name a day until {last.isoformat()}, or declare what is accepted"
            faults.append(Fault(f"waivers.{i}.expires", "more than a year from now", remedy))
        first = seen.setdefault((waiver.address, waiver.field), i)
        if first != i:
            reason = f"the same address and field as waivers.{first}"
            faults.append(Fault(f"waivers.{i}", reason, "keep one of them"))
    return faults


def _placed(faults: list[Fault], lines: LineMap) -> tuple[Fault, ...]:
    placed = [
        fault if fault.line is not None else replace(fault, line=lines.line(fault.path))
        for fault in faults
    ]
    return tuple(sorted(placed, key=lambda fault: fault.line or 0))
