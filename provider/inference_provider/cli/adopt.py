"""`drift --adopt`: the patch to a stack file that declares what runs. Writes nothing.

A patch is printed only if the file with it is read without a fault, leaves none of the adopted
findings, and brings no other.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inference_provider.cli.declared import Declared
from inference_provider.cli.patch import patch, secret_shown
from inference_provider.cli.session import Session
from inference_provider.drift import (
    DriftReport,
    FieldDrift,
    Origin,
    ResourceDrift,
    Verdict,
    drift,
)
from inference_provider.errors import Fault, SpecError
from inference_provider.files.declared_places import DeclaredPlaces
from inference_provider.files.stack_file import load_stack
from inference_provider.files.yaml_edits import REMOVED, CannotEdit, edited
from inference_provider.printable import one_line
from inference_provider.reviewed import Key, keys_of
from inference_provider.secret_text import HIDDEN
from inference_provider.stack import Stack

ALL = "all"
"""Stands for every address with a finding that is not waived."""
_WHOLE = {
    Verdict.MISSING: "it is not there: remove it from the file, or `--fix` it",
    Verdict.UNMANAGED: "it is declared nowhere: declare it, or `--fix` deletes it",
    Verdict.UNREADABLE: "it could not be read",
    Verdict.DRIFTED: "it does not run as recorded: `--fix` it",
}
_Changes = dict[str, Any]


def print_patch(
    session: Session, declared: Declared, report: DriftReport, addresses: Sequence[str]
) -> int:
    """Print the patch on stdout, and on stderr what is not in it; return the exit code.

    Returns:
        0 where all that was asked for is in the patch, else 2.
    """
    stack = declared.stack_file("--adopt")
    observed = session.target.observe(session.pipeline("drift").workspaces(stack))

    def review(other: Stack) -> DriftReport:
        return drift(other.resolve(observed), observed, other.name)

    found = adopted(declared.file, review(stack), report, addresses, review)
    print(patch(declared.name_of_file, found.before, found.text), end="")
    if found.text == found.before and not found.refused:
        session.err.print("nothing differs that is not waived: no patch", markup=False)
    for key, why in found.refused.items():
        field = f" {key.field}" if key.field else ""
        session.err.print(one_line(f"not in the patch: {key.address}{field}: {why}"), markup=False)
    return 2 if found.refused else 0


@dataclass
class Adoption:
    """What a patch adopts, and what it cannot."""

    before: str
    """What the stack file has."""
    text: str
    """What it has with the patch."""
    refused: dict[Key, str] = field(default_factory=dict)
    """Why a finding cannot be adopted."""


def adopted(
    path: Path,
    before: DriftReport,
    report: DriftReport,
    addresses: Sequence[str],
    review: Callable[[Stack], DriftReport],
) -> Adoption:
    """Return the stack file in which what runs is declared.

    Args:
        path: The stack file.
        before: Of the stack file as it is, and of the state that others are compared with.
        report: The same with waivers.
        addresses: What is adopted, or `all`.
        review: Compares another stack with the same state.

    Raises:
        SpecError: An address has no finding.
    """
    text = _text_of(path)
    places = DeclaredPlaces.read(path, load_stack(path))
    found = Adoption(text, text)
    wanted: dict[str, _Changes] = {}
    keys: dict[str, set[Key]] = {}
    for resource in _chosen(report, addresses):
        address = resource.id.address
        changes, refused = _changes(resource, places)
        found.refused |= refused
        if changes:
            wanted[address] = changes
            keys[address] = keys_of(resource).keys() - refused.keys()
    trial = _Trial(path, text, places, before, review)
    fitting, why = _fitting(trial, wanted, keys)
    for address, reason in why.items():
        found.refused |= dict.fromkeys(keys[address], reason)
    if fitting:
        found.text = trial.edited(fitting)
    return found


def _fitting(
    trial: "_Trial", wanted: Mapping[str, _Changes], keys: Mapping[str, set[Key]]
) -> tuple[Mapping[str, _Changes], dict[str, str]]:
    """Return as many changes as can be made together, and why each other cannot."""
    if not wanted or not trial.fails(wanted, keys):
        return wanted, {}
    fitting: dict[str, _Changes] = {}
    why: dict[str, str] = {}
    grows = True
    while grows:  # one that failed may need one that was added behind it
        before = len(fitting)
        for address in [one for one in wanted if one not in fitting]:
            why[address] = trial.fails({**fitting, address: wanted[address]}, keys)
            if not why[address]:
                fitting[address] = wanted[address]
        grows = before < len(fitting) < len(wanted)
    return fitting, {address: reason for address, reason in why.items() if reason}


def _text_of(path: Path) -> str:
    """Return a file's text with its line ends, which a patch needs."""
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError:
        fault = Fault("", "a patch is of UTF-8, and it is not", "save it as UTF-8")
        raise SpecError((fault,), str(path)) from None


def _chosen(report: DriftReport, addresses: Sequence[str]) -> list[ResourceDrift]:
    found = {one.id.address: one for one in report.resources if one.verdict != Verdict.CLEAN}
    if ALL in addresses:
        return [one for one in found.values() if not one.is_waived]
    unknown = [one for one in addresses if one not in found]
    if unknown:
        remedy = f"pass an address that `inferctl drift --json` prints, or {ALL}"
        faults = tuple(Fault(one, "nothing of it differs", remedy) for one in unknown)
        raise SpecError(faults, "--adopt")
    return [found[address] for address in dict.fromkeys(addresses)]


def _changes(resource: ResourceDrift, places: DeclaredPlaces) -> tuple[_Changes, dict[Key, str]]:
    """Return the values that the file should have, and why others cannot be adopted."""
    refused: dict[Key, str] = {}
    changes: _Changes = {}
    for key, finding in keys_of(resource).items():
        if not isinstance(finding, FieldDrift):
            refused[key] = _WHOLE[resource.verdict]
        elif why := _kept(finding, places.path(resource.id.address)):
            refused[key] = why
        else:
            value = REMOVED if finding.live is None else finding.live
            _put(changes, places.keys(resource.id.address, finding.path), value)
    return changes, refused


def _kept(finding: FieldDrift, path: str | None) -> str:
    """Say why the live value of a field is not declared; empty if it may be."""
    if path is None:
        return "it is written nowhere"
    if HIDDEN in str(finding.live):
        return "its value is a secret"
    if finding.origin == Origin.OTHER_OWNER:
        return "another stack owns it"
    if finding.origin == Origin.CRASHED:
        return "nobody chose it: `--fix` it"
    if "content_hash" in finding.path:
        return "it is the content of files"
    return ""


def _put(changes: _Changes, keys: Sequence[str], value: Any) -> None:
    *above, last = keys
    for key in above:
        changes = changes.setdefault(key, {})
    changes[last] = value


@dataclass
class _Trial:
    """Tries changes of one stack file without writing it."""

    path: Path
    text: str
    places: DeclaredPlaces
    report: DriftReport
    review: Callable[[Stack], DriftReport]

    def edited(self, wanted: Mapping[str, _Changes]) -> str:
        by_item: dict[str, _Changes] = {}
        for address, changes in wanted.items():
            by_item.setdefault(self.places.path(address) or "", {}).update(changes)
        return edited(self.text, by_item)

    def fails(self, wanted: Mapping[str, _Changes], keys: Mapping[str, set[Key]]) -> str:
        """Say why a file with these changes is not what it should be; empty if it is."""
        try:
            text = self.edited(wanted)
            after = self.review(Stack.of(load_stack(self.path, text)))
        except CannotEdit as exc:
            return str(exc)
        except SpecError as exc:
            return f"the file would have a fault: {exc.faults[0].reason}"
        left, before = set(_findings(after)), set(_findings(self.report))
        if left & {key for address in wanted for key in keys[address]}:
            return "it would differ all the same"
        if more := left - before:
            return f"{min(more).address} would differ then"
        if (line := secret_shown(self.text, text)) is not None:
            return f"its patch would show the secret in line {line}"
        return ""


def _findings(report: DriftReport) -> Iterator[Key]:
    for resource in report.resources:
        yield from keys_of(resource)
