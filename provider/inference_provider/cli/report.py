"""A drift report as text, JSON, Markdown or JUnit.

Goes in: a DriftReport. Comes out: text that ends in a newline, the verdict first.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from xml.etree import ElementTree

from inference_provider.cli import strict_json
from inference_provider.compare import show
from inference_provider.drift import (
    UNKNOWN,
    DriftReport,
    FieldDrift,
    Origin,
    ResourceDrift,
    Verdict,
)
from inference_provider.printable import one_line, printable

_HEADER = ("field", "declared", "recorded", "live", "severity", "fix", "why", "who", "when")
_FIX = {
    "nothing": "fix: no effect on running instances",
    "live": "fix: in place",
    "rolling": "fix: new instances in place of the old",
    "replace": "fix: replace it",
    "create": "fix: create it",
    "delete": "fix: delete it",
}


def verdict_line(report: DriftReport) -> str:
    """Say all in one line: `3 drifted, 1 missing, 1 unmanaged, 42 clean, 0 unreadable`."""
    counts = ", ".join(f"{count} {verdict}" for verdict, count in report.counts.items())
    return f"{report.stack}: {counts}"


def text(report: DriftReport) -> str:
    """Write the verdict, then each resource that is not clean, its fields below, then notes."""
    lines = [verdict_line(report)]
    for resource in _remarkable(report):
        lines += ["", one_line(f"{resource.verdict.value}: {resource.id}{_detail(resource)}")]
        lines += [line for entry in resource.fields for line in _field_lines(entry)]
    for resource in _noted(report):
        lines += ["", one_line(f"note: {resource.id} ({resource.reason})")]
    return printable("\n".join(lines)) + "\n"


def _remarkable(report: DriftReport) -> list[ResourceDrift]:
    return [r for r in report.resources if r.verdict != Verdict.CLEAN]


def _noted(report: DriftReport) -> list[ResourceDrift]:
    """Return what does not differ, and yet a person should know something of."""
    return [r for r in report.resources if r.verdict == Verdict.CLEAN and r.reason]


def _detail(resource: ResourceDrift) -> str:
    parts = [resource.reason] if resource.reason else []
    if resource.verdict in (Verdict.MISSING, Verdict.UNMANAGED):
        known = resource.actor != UNKNOWN
        parts += [f"by {resource.actor}{_when(resource.time)}"] if known else []
    if resource.verdict != Verdict.UNREADABLE and not _refused(resource):
        parts.append(_FIX[resource.fix.value])
    return f" ({'; '.join(parts)})" if parts else ""


def _refused(resource: ResourceDrift) -> bool:
    return any(entry.origin == Origin.OTHER_OWNER for entry in resource.fields)


def _field_lines(entry: FieldDrift) -> list[str]:
    columns = f"declared {show(entry.declared)} | recorded {show(entry.recorded)}"
    verb = "recorded" if entry.origin == Origin.NOT_APPLIED else "changed"
    why = f"{entry.origin.value}; {verb} by {entry.actor}{_when(entry.time)}"
    if entry.origin in (Origin.CRASHED, Origin.OTHER_OWNER):
        why = entry.origin.value
    elif entry.actor == UNKNOWN:
        why = f"{entry.origin.value}; by whom is unknown"
    cost = f"{entry.severity.value}, {entry.change_class.value}"
    return [
        f"  {one_line(entry.path)}: {columns} | live {show(entry.live)}  [{cost}]",
        f"    {why}",
    ]


def _when(time: datetime | None) -> str:
    return f" at {_stamp(time)}" if time else ""


def _stamp(time: datetime | None) -> str:
    return time.isoformat(timespec="seconds") if time else "unknown"


def as_json(report: DriftReport) -> str:
    """Write every resource, the clean ones too."""
    value = {
        "stack": report.stack,
        "verdict": verdict_line(report),
        "exit_code": report.exit_code,
        "counts": report.counts,
        "resources": [_resource_json(resource) for resource in report.resources],
    }
    return strict_json.write(value) + "\n"


def _resource_json(resource: ResourceDrift) -> dict[str, Any]:
    value = resource.model_dump(mode="json", by_alias=True, exclude={"id"})
    where = {
        "kind": resource.id.kind.value,
        "workspace": resource.id.workspace,
        "name": resource.id.name,
    }
    return {**where, **value}


def markdown(report: DriftReport) -> str:
    """Write a heading, the verdict, and one table a resource that is not clean."""
    lines = [f"# Drift of `{report.stack}`", "", f"**{verdict_line(report)}**"]
    for resource in _remarkable(report):
        lines += ["", f"## {resource.verdict.value}: {resource.id}"]
        detail = _detail(resource).strip(" ()")
        lines += ["", _cell(detail)] if detail else []
        if resource.fields:
            lines += ["", _row(_HEADER), _row(["---"] * len(_HEADER))]
            lines += [_row(_columns(entry)) for entry in resource.fields]
    for resource in _noted(report):
        lines += ["", f"## note: {resource.id}", "", _cell(one_line(resource.reason))]
    return printable("\n".join(lines)) + "\n"


def _columns(entry: FieldDrift) -> list[str]:
    return [
        f"`{one_line(entry.path)}`",
        show(entry.declared),
        show(entry.recorded),
        show(entry.live),
        entry.severity.value,
        entry.change_class.value,
        entry.origin.value,
        entry.actor,
        _stamp(entry.time),
    ]


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(value: str) -> str:
    return value.replace("|", "\\|").replace("\n", " ")


def junit(report: DriftReport) -> str:
    """Write one test case a resource: drift is a failure, what could not be read an error."""
    errors = report.count(Verdict.UNREADABLE)
    failures = len(_remarkable(report)) - errors
    suite = ElementTree.Element(
        "testsuite",
        name=f"drift of {report.stack}",
        tests=str(len(report.resources)),
        failures=str(failures),
        errors=str(errors),
        skipped="0",
    )
    for resource in report.resources:
        _case(suite, resource)
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ElementTree.Element, resource: ResourceDrift) -> None:
    classname = f"{resource.id.workspace}.{resource.id.kind.value}"
    names = {"classname": one_line(classname), "name": one_line(resource.id.name)}
    case = ElementTree.SubElement(suite, "testcase", names)
    if resource.verdict == Verdict.CLEAN:
        if resource.reason:
            ElementTree.SubElement(case, "system-out").text = one_line(resource.reason)
        return
    tag = "error" if resource.verdict == Verdict.UNREADABLE else "failure"
    message = one_line(f"{resource.verdict.value}{_detail(resource)}")
    found = ElementTree.SubElement(case, tag, type=resource.verdict.value, message=message)
    found.text = printable("\n".join(line for f in resource.fields for line in _field_lines(f)))


WRITERS: Mapping[str, Callable[[DriftReport], str]] = {
    "text": text,
    "json": as_json,
    "markdown": markdown,
    "junit": junit,
}
"""By the name `--format` takes."""
