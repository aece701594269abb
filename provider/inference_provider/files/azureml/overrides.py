"""What the command line says over the files: merged into the documents before anything is checked.

The words are those of `az ml`: `--set PATH=VALUE`, `--name`, `--traffic "blue=90 green=10"`. There,
one command takes one file; here a value goes to every document that has the field, and `FILE:PATH`
names one.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from inference_provider.errors import Fault
from inference_provider.files.azureml.documents import AzureDocument
from inference_provider.files.azureml.fields import KINDS, TEXT
from inference_provider.files.lines import read_document

_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")
_ENDPOINTS = ("online_endpoint", "kubernetes_endpoint", "batch_endpoint", "serverless_endpoint")
_DEPLOYMENTS = ("online_deployment", "kubernetes_deployment", "batch_deployment")


@dataclass(frozen=True)
class Overrides:
    """Values of the command line."""

    sets: tuple[str, ...] = ()
    """`PATH=VALUE`, or `FILE:PATH=VALUE`."""
    name: str | None = None
    endpoint: str | None = None
    traffic: str | None = None
    mirror_traffic: str | None = None
    all_traffic: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)
    stack: str | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """Options of which one has a value."""
        options = {
            "--set": self.sets, "--name": self.name, "--endpoint": self.endpoint,
            "--traffic": self.traffic, "--mirror-traffic": self.mirror_traffic,
            "--all-traffic": self.all_traffic, "--var": self.variables, "--stack": self.stack,
        }  # fmt: skip
        return tuple(option for option, value in options.items() if value)


def override(documents: list[AzureDocument], options: Overrides) -> list[Fault]:
    """Write the values into the documents. Return a fault for each that finds no place."""
    faults: list[Fault] = []
    for text in options.sets:
        faults += _set(documents, text)
    if options.endpoint is not None:
        faults += _endpoint(documents, options.endpoint)
    if options.name is not None:
        faults += _name(documents, options.name)
    return faults + _traffic(documents, options)


def _set(documents: list[AzureDocument], text: str) -> list[Fault]:
    where, equals, written = text.partition("=")
    file, colon, path = where.rpartition(":")
    steps = [int(one[1]) if one[1] else one[2] for one in _STEP.finditer(path)]
    if not equals or not steps or not isinstance(steps[0], str):
        return [Fault("--set", f"'{where}' names no value", "write --set PATH=VALUE")]
    named = [one for one in documents if not colon or file in (one.shown, one.file.name)]
    if not named:
        given = ", ".join(one.shown for one in documents)
        return [Fault("--set", f"no file '{file}' is given", f"use one of: {given}")]
    heads = {one.shown: _heads(one) for one in named}
    taking = [one for one in named if steps[0] in heads[one.shown]]
    if not taking:
        return [Fault("--set", f"no given file has a field '{steps[0]}'", "see docs/azureml.md")]
    if len(taking) > 1 and steps[0] in ("name", "version", "description", "tags"):
        files = ", ".join(one.shown for one in taking)
        remedy = f"write FILE:{path}={written.strip() or 'VALUE'}"
        return [Fault("--set", f"several files have '{steps[0]}': {files}", remedy)]
    return [fault for one in taking for fault in _put(one, steps, _value(one, path, written))]


def _heads(document: AzureDocument) -> set[str]:
    return {one.path.partition(".")[0] for one in KINDS[document.kind].fields}


def _value(document: AzureDocument, path: str, written: str) -> Any:
    """Return what is written, as YAML; text where the field is: a command line has no quotes."""
    if any(one.path == path and one.values == TEXT for one in KINDS[document.kind].fields):
        return written
    read = read_document(written)
    return written if read.faults or read.value is None else read.value


def _put(document: AzureDocument, steps: list[Any], value: Any) -> list[Fault]:
    path = ".".join(map(str, steps))
    inside: Any = document.value
    for step, after in zip(steps, [*steps[1:], None], strict=True):
        if isinstance(step, int):
            fits = isinstance(inside, list) and step <= len(inside)
        else:
            fits = isinstance(inside, dict)
        if not fits:
            reason = f"{document.shown} has nothing at '{path}' that can be set"
            return [Fault("--set", reason, "set what it lies in")]
        if after is None:
            _place(inside, step, value)
            break
        there = inside[step] if isinstance(inside, dict) and step in inside else None
        if isinstance(inside, list) and step < len(inside):
            there = inside[step]
        if not isinstance(
            there, dict | list
        ):  # as Azure ML: `model=azureml:x:1` may have stood there
            there = [] if isinstance(after, int) else {}
            _place(inside, step, there)
        inside = there
    document.from_options.add(path)
    return []


def _place(inside: Any, step: Any, value: Any) -> None:
    if isinstance(inside, list) and step == len(inside):
        inside.append(value)
    else:
        inside[step] = value


def _endpoint(documents: list[AzureDocument], name: str) -> list[Fault]:
    fronts = [one for one in documents if one.kind in _ENDPOINTS]
    if len(fronts) > 1:
        files = ", ".join(one.shown for one in fronts)
        return [
            Fault("--endpoint", f"there are several endpoints: {files}", "use --set FILE:name=")
        ]
    for one in fronts:
        _put(one, ["name"], name)
    for one in documents:
        if one.kind in _DEPLOYMENTS:
            _put(one, ["endpoint_name"], name)
    return []


def _name(documents: list[AzureDocument], name: str) -> list[Fault]:
    for kinds in (_DEPLOYMENTS, _ENDPOINTS):
        found = [one for one in documents if one.kind in kinds]
        if len(found) == 1:
            return _put(found[0], ["name"], name)
        if found:
            break
    files = ", ".join(one.shown for one in documents)
    reason = f"there is no single deployment or endpoint in: {files}"
    return [Fault("--name", reason, "use --set FILE:name=NAME")]


def _traffic(documents: list[AzureDocument], options: Overrides) -> list[Fault]:
    shares: dict[str, tuple[str, Any]] = {}
    faults: list[Fault] = []
    if options.all_traffic and options.traffic is not None:
        return [Fault("--all-traffic", "it and --traffic both say the split", "leave one out")]
    for option, key, text in (
        ("--traffic", "traffic", options.traffic),
        ("--mirror-traffic", "mirror_traffic", options.mirror_traffic),
    ):
        if text is not None:
            parsed = parse_shares(text)
            if parsed is None:
                remedy = f'write {option} "blue=90 green=10"'
                faults.append(Fault(option, f"'{text}' is not a split", remedy))
            else:
                shares[key] = option, parsed
    if options.all_traffic:
        found = [one for one in documents if one.kind in _DEPLOYMENTS]
        if len(found) != 1:
            reason = f"{len(found)} deployments are given"
            faults.append(Fault("--all-traffic", reason, 'write --traffic "blue=90 green=10"'))
        else:
            shares["traffic"] = "--all-traffic", {str(found[0].value.get("name")): 100}
    fronts = [one for one in documents if one.kind in ("online_endpoint", "kubernetes_endpoint")]
    for key, (option, value) in shares.items():
        if len(fronts) != 1:
            reason = f"{len(fronts)} online endpoints are given"
            faults.append(Fault(option, reason, "pass the YAML of the one endpoint it is for"))
        else:
            _put(fronts[0], [key], value)
    return faults


def parse_shares(text: str) -> dict[str, int] | None:
    """Take `blue=90 green=10` apart; None where it is not of that form."""
    pairs = [pair.partition("=") for pair in text.replace(",", " ").split()]
    if not all(name and share.lstrip("-").isdecimal() for name, _, share in pairs):
        return None
    return {name: int(share) for name, _, share in pairs}


def variables_of(texts: Iterable[str]) -> dict[str, str]:
    """Take `NAME=VALUE` apart.

    Raises:
        ValueError: Its text is the one that is not of that form.
    """
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise ValueError(text)
        found[name] = value
    return found
