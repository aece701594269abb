"""drift-waivers.yaml -> waivers, or every fault in it at once, each with its line."""

import json
import re
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
_ITEM = re.compile(r"^( *)- ", re.MULTILINE)
"""Begins a waiver in a file that has each on lines of its own."""


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    waivers: tuple[Waiver, ...] = ()


def load_waivers(path: Path, today: date) -> tuple[Waiver, ...]:
    """Read a file of waivers.

    Raises:
        SpecError: With every fault in it.
    """
    return _waivers_in(_text(path), path, today)


def with_waiver(path: Path, waiver: Waiver, today: date) -> str:
    """Return the text of a file of waivers with one more at its end; of a new file, if it is none.

    Raises:
        SpecError: The file has faults, would get one, or is written in a form that takes no line
            more; which line that is, is said.
    """
    text = _text(path) if path.exists() else ""
    before = _waivers_in(text, path, today)
    found = _ITEM.search(text) if before else None
    head = f"{text.rstrip()}\n" if text.strip() else ""
    more = f"{head}{found[1] if found else ''}{entry_of(waiver)}\n"
    more = more if found else f"{head}waivers:\n{entry_of(waiver)}\n"
    whole = [one.model_dump() for one in (*before, waiver)]
    if faults := _of_rules({"waivers": whole}, today):
        raise SpecError(tuple(faults), str(path))
    try:
        is_so = _waivers_in(more, path, today) == (*before, waiver)
    except SpecError:
        is_so = False
    if not is_so:
        fault = Fault("waivers", "not a list of lines", f"add this by hand: {entry_of(waiver)}")
        raise SpecError((fault,), str(path))
    return more


def add_waiver(path: Path, waiver: Waiver, today: date) -> None:
    """Write one more waiver at the end of a file. Raises SpecError as `with_waiver`."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(with_waiver(path, waiver, today), encoding="utf-8")
    fresh.replace(path)


def entry_of(waiver: Waiver) -> str:
    """Return a waiver as one line of its file; JSON's texts are YAML's, too."""
    fields = waiver.model_dump(mode="json", exclude_defaults=True)
    texts = {name: json.dumps(str(value)) for name, value in fields.items()}
    return "- {" + ", ".join(f"{name}: {text}" for name, text in texts.items()) + "}"


def _text(path: Path) -> str:
    try:
        return read_text(path, str(path), STACK_FILE_MIB)
    except Unreadable as exc:
        raise _unreadable(path, exc) from exc


def _unreadable(path: Path, exc: Unreadable) -> SpecError:
    remedy = exc.remedy or "name a file of waivers, like drift-waivers.yaml"
    return SpecError((Fault("", exc.reason, remedy, exc.line),), str(path))


def _waivers_in(text: str, path: Path, today: date) -> tuple[Waiver, ...]:
    try:
        document = read_document(text)
    except Unreadable as exc:
        raise _unreadable(path, exc) from exc
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
