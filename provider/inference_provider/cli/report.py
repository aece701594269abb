"""A drift report as text, JSON, Markdown or JUnit.

Goes in: a DriftReport. Comes out: text that ends in a newline, the verdict first.
"""

import re
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
from inference_provider.waivers import Finding

_HEADER = ("field", "declared", "recorded", "live", "severity", "fix", "why", "who", "when")
FIX = {
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
    waived = f", {report.waived} waived" if report.waived else ""
    return f"{one_line(report.stack)}: {counts}{waived}"


def text(report: DriftReport) -> str:
    """Write the verdict, then each resource that is not clean, its fields below, then notes."""
    lines = [verdict_line(report)]
    for resource in remarkable(report):
        lines += ["", one_line(f"{_verdict(resource)}: {resource.id}{_detail(resource)}")]
        lines += [f"  {line}" for line in reviews_of(resource)]
        lines += [line for entry in resource.fields for line in _field_lines(entry)]
    if notes := notes_of(report):
        lines += ["", *(one_line(f"note: {note}") for note in notes)]
    return printable("\n".join(lines)) + "\n"


def remarkable(report: DriftReport) -> list[ResourceDrift]:
    return [r for r in report.resources if r.verdict != Verdict.CLEAN]


def notes_of(report: DriftReport) -> list[str]:
    """Return what a person should know of what does not differ, and of the review itself."""
    noted = (r for r in report.resources if r.verdict == Verdict.CLEAN and r.reason)
    return [*(f"{one.id} ({one.reason})" for one in noted), *report.notes]


def _verdict(resource: ResourceDrift) -> str:
    return f"{resource.verdict.value}{', waived' if resource.is_waived else ''}"


def reviews_of(finding: Finding) -> list[str]:
    """Return lines on who accepts a finding, and since when reviews have seen it."""
    told = []
    for waiver, word in ((finding.waiver, "until"), (finding.expired_waiver, "expired")):
        if waiver is not None:
            said = f"waived by {waiver.owner} {word} {waiver.expires}: {waiver.reason}"
            told.append(one_line(said))
    if (seen := finding.sighting) is not None:
        reviews = "review" if seen.times_seen == 1 else "reviews"
        told.append(f"seen in {seen.times_seen} {reviews}, first at {_stamp(seen.first_seen)}")
    return told


def _detail(resource: ResourceDrift) -> str:
    parts = [resource.reason] if resource.reason else []
    if resource.actor != UNKNOWN:
        verb = "stopped by" if resource.verdict == Verdict.DRIFTED else "by"
        parts += [f"{verb} {resource.actor}{_when(resource.time)}"]
    if resource.verdict != Verdict.UNREADABLE and not is_refused(resource):
        parts.append(FIX[resource.fix.value])
    return f" ({'; '.join(parts)})" if parts else ""


def is_refused(resource: ResourceDrift) -> bool:
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
        *(f"    {line}" for line in reviews_of(entry)),
    ]


def sentence(resource: ResourceDrift, finding: Finding) -> str:
    """Say all of one finding of a resource, on one line."""
    if isinstance(finding, FieldDrift):
        lines = (line.strip() for line in _field_lines(finding))
        return one_line(f"{resource.id} {'; '.join(lines)}")
    told = f"{_verdict(resource)}: {resource.id}{_detail(resource)}"
    return one_line("; ".join([told, *reviews_of(finding)]))


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
        "counts": {**report.counts, "waived": report.waived},
        "notes": list(report.notes),
        "resources": [_resource_json(resource) for resource in report.resources],
    }
    return strict_json.write(value) + "\n"


def _resource_json(resource: ResourceDrift) -> dict[str, Any]:
    value = resource.model_dump(mode="json", by_alias=True, exclude={"id"})
    where = {
        "address": resource.id.address,
        "kind": resource.id.kind.value,
        "workspace": resource.id.workspace,
        "name": resource.id.name,
    }
    return {**where, **value, "waived": resource.is_waived}


def markdown(report: DriftReport) -> str:
    """Write a heading, the verdict, and one table a resource that is not clean."""
    lines = [
        f"# Drift of {_code(one_line(report.stack))}",
        "",
        f"**{_told(verdict_line(report))}**",
    ]
    for resource in remarkable(report):
        lines += ["", _told(f"## {_verdict(resource)}: {resource.id}")]
        detail = "; ".join([_detail(resource).strip(" ()"), *reviews_of(resource)]).strip("; ")
        lines += ["", _told(detail)] if detail else []
        if resource.fields:
            more = any(reviews_of(entry) for entry in resource.fields)
            header = (*_HEADER, "reviews") if more else _HEADER
            lines += ["", _row(header), _row(["---"] * len(header))]
            lines += [_row(_columns(entry)[: len(header)]) for entry in resource.fields]
    if notes := notes_of(report):
        lines += ["", "## Notes", "", *(f"- {_told(note)}" for note in notes)]
    return printable("\n".join(lines)) + "\n"


def _columns(entry: FieldDrift) -> list[str]:
    return [
        *map(_in_cell, (one_line(entry.path), show(entry.declared), show(entry.recorded))),
        _in_cell(show(entry.live)),
        entry.severity.value,
        entry.change_class.value,
        entry.origin.value,
        _told(entry.actor),
        _stamp(entry.time),
        _told("; ".join(reviews_of(entry))),
    ]


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"


_SIGNS = re.compile(r"[\\`*_\[\]<>!|~&$]")
"""What Markdown, and code hosts' kinds of it, read as more than text inside a line."""


def _told(text: str) -> str:
    """Write a text from outside so that it is only read: no link, no picture, nobody is called."""
    return _SIGNS.sub(r"\\\g<0>", one_line(text)).replace("@", "@<!-- -->")


def _in_cell(value: str) -> str:
    """Write a value as code; a table's cells end at a bar in code too."""
    return _code(one_line(value)).replace("|", "\\|")


def _code(text: str) -> str:
    """Write a text as code, in a fence that is longer than each in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence, space = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{space}{text}{space}{fence}" if text else ""


def junit(report: DriftReport) -> str:
    """Write one test case a resource: drift is a failure, what could not be read an error."""
    errors = report.count(Verdict.UNREADABLE)
    failures = len(remarkable(report)) - errors - report.waived
    suite = ElementTree.Element(
        "testsuite",
        name=f"drift of {one_line(report.stack)}",
        tests=str(len(report.resources)),
        failures=str(failures),
        errors=str(errors),
        skipped=str(report.waived),
    )
    for resource in report.resources:
        _case(suite, resource)
    if report.notes:
        said = ElementTree.SubElement(suite, "system-out")
        said.text = "\n".join(one_line(note) for note in report.notes)
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
    message = one_line(f"{_verdict(resource)}{_detail(resource)}")
    if resource.is_waived:
        found = ElementTree.SubElement(case, "skipped", message=message)
    else:
        tag = "error" if resource.verdict == Verdict.UNREADABLE else "failure"
        found = ElementTree.SubElement(case, tag, type=resource.verdict.value, message=message)
    lines = [*reviews_of(resource), *(line for f in resource.fields for line in _field_lines(f))]
    found.text = printable("\n".join(lines))


WRITERS: Mapping[str, Callable[[DriftReport], str]] = {
    "text": text,
    "json": as_json,
    "markdown": markdown,
    "junit": junit,
}
"""By the name `--format` takes."""
