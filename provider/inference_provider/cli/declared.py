"""What `drift` compares with: a stack file, or the exported state of a Pulumi stack."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from inference_provider.cli import strict_json
from inference_provider.cli.given import Given
from inference_provider.cli.sarif import Place as Line
from inference_provider.cli.session import Session
from inference_provider.drift import DriftReport, ResourceDrift
from inference_provider.errors import Fault, SpecError
from inference_provider.files.declared_places import DeclaredPlaces
from inference_provider.files.reading import Unreadable, read_text
from inference_provider.handlers.exported import Exported, Program, exported
from inference_provider.handlers.places import led_away
from inference_provider.observed import ResourceId
from inference_provider.spec.target import Place
from inference_provider.stack import Pipeline, Stack

EXPORT_MIB = 256
"""Pulumi writes several KiB a resource."""


@dataclass(frozen=True)
class Declared:
    """What one file declares, in one or several places."""

    stacks: tuple[Stack, ...]
    file: Path
    program: Program | None = None
    """Of a state."""

    @property
    def name(self) -> str:
        """The owner's label; of a state there may be several."""
        return ", ".join(dict.fromkeys(stack.name for stack in self.stacks))

    @property
    def known_as(self) -> str:
        """What a history is of: owners' labels of a program may come and go."""
        return f"{self.program.project}/{self.program.stack}" if self.program else self.name

    @cached_property
    def _places(self) -> DeclaredPlaces:
        return DeclaredPlaces.read(self.file, self.stacks[0].spec)

    def place(self, address: str, field: str) -> Line:
        """Return where something is declared; the head of the file for what is declared nowhere."""
        line: int | None = None
        if not isinstance(self.stacks[0], Exported):
            line = self._places.line(address, field)
        for stack in self.stacks:
            if isinstance(stack, Exported) and address in stack.lines:
                file, number = stack.lines[address]
                return Line(in_repository(self._project_folder / file), number)
        return Line(in_repository(self.file), line or 1)

    @cached_property
    def _project_folder(self) -> Path:
        """The folder of Pulumi.yaml: beside the state, else where the command runs."""
        found = (folder for folder in _project_folders(self.file) if _project_in(folder))
        return next(found, Path())

    @property
    def name_of_file(self) -> str:
        """The file as a patch names it that is applied where the command runs.

        As a code host knows it where it lies elsewhere: no tool follows a patch out of its folder.
        """
        whole = self.file.resolve()
        inside = whole.is_relative_to(Path.cwd())
        return whole.relative_to(Path.cwd()).as_posix() if inside else in_repository(self.file)

    def stack_file(self, option: str) -> Stack:
        """Return the stack of a stack file. Raises SpecError for a state: a program declares it."""
        (stack, *_) = self.stacks
        if isinstance(stack, Exported):
            reason = "a state is of a program, which `inferctl` cannot run"
            remedy = "change the program, then `pulumi up --refresh`, with --target URN for a part"
            raise SpecError((Fault(option, reason, remedy),), "the command line")
        return stack


def read_declared(session: Session, given: Given) -> Declared:
    """Read a stack file, Azure ML YAML, or the exported state of a Pulumi stack.

    Raises:
        SpecError: It is none of them; with every fault in it.
    """
    path = given.file
    value = None if given.is_azure else _json_of(path)
    if value is None:
        return Declared((session.read_stack(given),), path)
    program, stacks = exported(value, str(path))
    _refuse_another_project(path, program.project)
    return Declared(stacks, path, program)


def review(session: Session, declared: Declared) -> DriftReport:
    """Compare what is declared with what is recorded and what runs, in each place.

    Raises:
        SpecError: Two places have something of one address, by which a report knows it.
    """
    found: dict[ResourceId, tuple[Place, ResourceDrift]] = {}
    notes: dict[str, None] = {}
    for stack, report in _reports(session, declared):
        notes |= dict.fromkeys(report.notes)
        for one in report.resources:
            if _is_of_another(stack, one):
                continue
            place, _ = found.setdefault(one.id, (stack.place, one))
            if place != stack.place:
                raise _in_two_places(declared, one.id, place, stack.place)
    resources = tuple(one for _, one in found.values())
    return DriftReport(stack=declared.name, resources=resources, notes=tuple(notes))


def _is_of_another(stack: Stack, one: ResourceDrift) -> bool:
    """Whether another owner of the same state declares it, and so judges it."""
    return (
        isinstance(stack, Exported) and stack.owners.get(one.id.address, stack.name) != stack.name
    )


def _in_two_places(declared: Declared, one: ResourceId, first: Place, other: Place) -> SpecError:
    reason = (
        f"workspace '{one.workspace}' is on {first} and on {other}, and both have {one};"
        " a review knows each thing by its address"
    )
    remedy = "give one of the two workspaces another name, or declare it by another project"
    return SpecError((Fault("", reason, remedy),), str(declared.file))


def _reports(session: Session, declared: Declared) -> Iterator[tuple[Stack, DriftReport]]:
    for stack in declared.stacks:
        target = session.at(stack.place)
        report = Pipeline(target, session.actor("drift")).drift(stack)
        if isinstance(stack, Exported):
            if (fault := led_away(stack.home, target.home())) is not None:
                raise SpecError((fault,), f"the state of stack '{stack.name}'")
            report = report.model_copy(update={"notes": stack.notes})
        yield stack, report


def in_repository(path: Path) -> str:
    """Return a path as a code host knows it: from the root of its Git checkout.

    From where the command runs, if it is in none.
    """
    whole = path.resolve()
    for folder in whole.parents:
        if (folder / ".git").exists():  # a file in a work tree or a submodule
            return whole.relative_to(folder).as_posix()
    return Path(os.path.relpath(whole)).as_posix()


def _json_of(path: Path) -> object | None:
    """Return the JSON of an exported state; None of what is a stack file, or is not there."""
    named = path.suffix == ".json"
    try:
        text = read_text(path, path.name, EXPORT_MIB)
    except Unreadable:
        return None  # what reads a stack file says why
    if not (named or text.lstrip().startswith("{")):
        return None
    try:
        value = strict_json.read(text)
    except ValueError as exc:
        if not named:
            return None
        reason = f"it is not JSON: {exc}"
        fault = Fault("", reason, "`pulumi stack export > state.json` writes the state of a stack")
        raise SpecError((fault,), str(path)) from None
    is_stack_file = isinstance(value, dict) and "name" in value and "deployment" not in value
    return None if is_stack_file else value


def _refuse_another_project(path: Path, project: str) -> None:
    """Refuse the state of a project where the folder of the file, or this one, is another's."""
    for folder in _project_folders(path):
        known = _project_in(folder)
        if known is None:
            continue
        if known != project:
            file = folder / "Pulumi.yaml"
            reason = f"the state is of project '{project}', and {file} is of '{known}'"
            remedy = "export the stack of this project, or keep the state elsewhere"
            raise SpecError((Fault("", reason, remedy),), str(path))
        return


def _project_folders(path: Path) -> tuple[Path, ...]:
    return path.parent, Path()


def _project_in(folder: Path) -> Any:
    """Return the name of a folder's Pulumi project; None if it has none."""
    file = folder / "Pulumi.yaml"
    try:
        return yaml.safe_load(read_text(file, file.name, 1))["name"]
    except (Unreadable, yaml.YAMLError, TypeError, KeyError):
        return None
