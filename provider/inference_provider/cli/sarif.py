"""A drift report as SARIF 2.1.0 (OASIS), which code hosts show at the line that declares a thing.

Goes in: a DriftReport, and where each finding is declared. Comes out: a result for each finding.
"""

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote

from inference_provider import __version__
from inference_provider.cli import strict_json
from inference_provider.cli.report import sentence, verdict_line
from inference_provider.drift import DriftReport, FieldDrift, ResourceDrift, Verdict
from inference_provider.printable import one_line
from inference_provider.reviewed import Key, keys_of
from inference_provider.spec import Severity
from inference_provider.waivers import Finding

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)


class Place(NamedTuple):
    """Where something is declared."""

    file: str
    """From the root of the repository, with slashes."""
    line: int


Locate = Callable[[str, str], Place]
"""From an address and a field (empty for the resource itself)."""


class _Rule(NamedTuple):
    name: str
    level: str
    text: str


_OF_FIELDS = {
    Severity.IDENTITY: _Rule("drift/identity", "error", "A field that names something differs"),
    Severity.SECURITY: _Rule("drift/security", "error", "A field of security differs"),
    Severity.CAPACITY: _Rule("drift/capacity", "warning", "A field of capacity differs"),
    Severity.COSMETIC: _Rule("drift/cosmetic", "note", "A field without effect differs"),
}
_OF_RESOURCES = {
    Verdict.DRIFTED: _Rule("drift/not-running", "error", "A resource does not run as recorded"),
    Verdict.MISSING: _Rule("drift/missing", "error", "A declared resource is not there"),
    Verdict.UNMANAGED: _Rule("drift/unmanaged", "warning", "A resource is declared nowhere"),
    Verdict.UNREADABLE: _Rule("drift/unreadable", "error", "A resource could not be read"),
}
_RULES = (*_OF_FIELDS.values(), *_OF_RESOURCES.values())


def sarif(report: DriftReport, locate: Locate) -> str:
    """Write one result a finding; what is waived is suppressed."""
    notes = [{"level": "note", "message": {"text": one_line(note)}} for note in report.notes]
    readable = not report.count(Verdict.UNREADABLE)
    run = {
        "tool": {
            "driver": {
                "name": "inferctl drift",
                "version": __version__,
                "rules": [
                    {"id": one.name, "shortDescription": {"text": one.text}} for one in _RULES
                ],
            }
        },
        "automationDetails": {"id": f"inferctl-drift/{one_line(report.stack)}/"},
        "invocations": [
            {
                "executionSuccessful": readable,
                "exitCode": report.exit_code,
                "toolExecutionNotifications": notes,
            }
        ],
        "results": list(_results(report, locate)),
        "properties": {"verdict": verdict_line(report)},
    }
    return strict_json.write({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}) + "\n"


def _results(report: DriftReport, locate: Locate) -> Iterator[dict[str, Any]]:
    for resource in report.resources:
        for key, finding in keys_of(resource).items():
            yield _result(key, finding, resource, locate)


def _result(key: Key, finding: Finding, resource: ResourceDrift, locate: Locate) -> dict[str, Any]:
    if isinstance(finding, FieldDrift):
        rule = _OF_FIELDS[finding.severity]
    else:
        rule = _OF_RESOURCES[resource.verdict]
    place, known_by = locate(key.address, key.field), _fingerprint(key, rule)
    found: dict[str, Any] = {
        "ruleId": rule.name,
        "ruleIndex": _RULES.index(rule),
        "level": rule.level,
        "message": {"text": sentence(resource, finding)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(place.file)},
                    "region": {"startLine": place.line},
                },
                "logicalLocations": [
                    {"fullyQualifiedName": one_line(" ".join(key[:2]).strip()), "kind": "resource"}
                ],
            }
        ],
        # of what a finding is known by, so a line that moves, or another value, is the same one
        # the second name is all that GitHub compares, which makes one alert of equal ones
        "partialFingerprints": {"inferctlDrift/v1": known_by, "primaryLocationLineHash": known_by},
    }
    if (waiver := finding.waiver) is not None:
        why = one_line(f"waived by {waiver.owner} until {waiver.expires}: {waiver.reason}")
        found["suppressions"] = [{"kind": "external", "status": "accepted", "justification": why}]
    if (seen := finding.sighting) is not None:
        found["properties"] = {"timesSeen": seen.times_seen}
        found["provenance"] = {
            "firstDetectionTimeUtc": _utc(seen.first_seen),
            "lastDetectionTimeUtc": _utc(seen.last_seen),
        }
    return found


def _fingerprint(key: Key, rule: _Rule) -> str:
    return hashlib.sha256("\0".join((*key[:2], rule.name)).encode()).hexdigest()


def _utc(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
