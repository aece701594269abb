"""The value of a stack file -> a stack whose items are valid, and every fault in the others.

Goes in: what YAML was read to, and what there is already beside it. Comes out: a StackSpec without
content hashes, and faults by the path of what is wrong. `stack_file.py` reads the YAML, and puts
each fault on its line.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel, ValidationError

from inference_provider.errors import Fault
from inference_provider.files.beside import beside
from inference_provider.files.digest import with_stack_file
from inference_provider.files.lines import join
from inference_provider.files.no_code import NoCode, fill_in
from inference_provider.files.program import Served
from inference_provider.files.referenced import file_faults
from inference_provider.files.source_folder import SourceFolder
from inference_provider.files.wording import faults_of, unknown_field
from inference_provider.spec import (
    BatchDeploymentSpec,
    DeploymentSpec,
    EndpointSpec,
    EnvironmentSpec,
    ModelSpec,
    SpecModel,
    StackSpec,
    WorkspaceSpec,
    stack_faults,
)
from inference_provider.spec.base import COMPUTED
from inference_provider.spec.fields import kind_of, marked, models_in
from inference_provider.spec.kinds import LISTED, Row
from inference_provider.spec.reference import Reference
from inference_provider.spec.target import Place, on_this_machine

ON_ENDPOINT = ("traffic", "mirror_traffic")
"""Azure ML writes these on the endpoint; here they are a resource of their own."""


@dataclass
class Reading:
    """One pass over a document's values; collects faults as it goes."""

    folder: SourceFolder
    file_name: str
    beside: Mapping[str, Sequence[SpecModel]] = field(default_factory=dict)
    """By listing: what there is already; without what the document declares, once it is read."""
    faults: list[Fault] = field(default_factory=list)
    _moved: dict[str, str] = field(default_factory=dict)
    """`traffic.<i>` -> `endpoints.<j>` for traffic that was written on its endpoint."""
    _no_code: NoCode = field(default_factory=NoCode)
    _inheriting: frozenset[str] = frozenset()
    """`endpoints.<i>` for each item that names no workspace and got the only one."""
    _valid: dict[str, SpecModel] = field(default_factory=dict)
    """By path; without items whose faulty fields stand at their defaults."""
    _faulty: dict[str, set[str]] = field(default_factory=dict)
    """Those fields, by path of the item."""

    def read(self, value: Any) -> StackSpec | None:
        """Return the stack, or None where too little of it can be read to check its rules."""
        if not isinstance(value, dict):
            remedy = "start with `name: <stack>`"
            self.faults.append(Fault("stack", "the file is not a mapping", remedy))
            return None
        raw = self._listings(value)
        self._split_traffic(raw)
        self._inheriting = _fill_workspace(raw)
        self._no_code = fill_in(raw, self.folder.path)
        self.faults += self._no_code.faults
        specs = {listing: self._specs(listing, items) for listing, items in raw.items()}
        self.beside = beside(self.beside, specs)
        spaces = (*specs.get("workspaces", ()), *self.beside.get("workspaces", ()))
        self._check_files(_place(spaces))
        whole: dict[str, Any] = {
            listing: (
                *(spec for spec in specs.get(listing, ()) if spec is not None),
                *self.beside.get(listing, ()),
            )
            for listing in {**specs, **self.beside}
        }
        whole["workspaces"] = whole.get("workspaces") or (WorkspaceSpec(),)
        stack = StackSpec.model_construct(name=self._name(value), **whole)
        stack._faulty = self._faulty
        if all(s is not None for found in specs.values() for s in found):
            self._cross_rules(stack)
        self.faults[:] = map(self._no_code.place, self.faults)
        return stack

    def _listings(self, value: dict[str, Any]) -> dict[str, list[Any]]:
        raw: dict[str, list[Any]] = {}
        for key, items in value.items():
            if key in LISTED and isinstance(items, list):
                raw[key] = list(items)
            elif key in LISTED and items is not None:
                self.faults.append(Fault(key, "not a list", "start each item with `- `"))
            elif key not in LISTED and key not in ("name", "$schema"):
                known = ("name", *LISTED)
                self.faults.append(Fault(key, *unknown_field(key, known)))
        if raw.get("workspaces") == []:
            del raw["workspaces"]
        return raw

    def _split_traffic(self, raw: dict[str, list[Any]]) -> None:
        for i, endpoint in enumerate(raw.get("endpoints", ())):
            if not isinstance(endpoint, dict) or not any(key in endpoint for key in ON_ENDPOINT):
                continue
            if LISTED["endpoints"].model_of(endpoint) is not EndpointSpec:
                continue  # no other kind splits its requests
            traffic = raw.setdefault("traffic", [])
            self._moved[f"traffic.{len(traffic)}"] = f"endpoints.{i}"
            moved = {key: endpoint[key] for key in ON_ENDPOINT if key in endpoint}
            place = {key: endpoint[key] for key in ("workspace",) if key in endpoint}
            traffic.append({**place, "endpoint": endpoint.get("name"), **moved})
            raw["endpoints"][i] = {k: v for k, v in endpoint.items() if k not in ON_ENDPOINT}

    def _specs(self, listing: str, items: list[Any]) -> list[SpecModel | None]:
        row = LISTED[listing]
        return [self._spec(row, item, f"{listing}.{i}") for i, item in enumerate(items)]

    def _spec(self, row: Row, item: Any, path: str) -> SpecModel | None:
        """Return the item; with its faulty fields at their defaults where that can be."""
        model = row.model_of(item)
        item = self._without_computed(model, item, path)
        try:
            spec = model.model_validate(item)
        except ValidationError as exc:
            self.faults += [
                replace(fault, path=join(path, fault.path) if fault.path else path)
                for fault in _faults_by_kind(faults_of(exc, model), row, model)
                if not self._reported_elsewhere(path, fault.path)
            ]
            faulty = {str(e["loc"][0]) for e in exc.errors() if e["loc"]}
            if "workspace" in faulty and path not in self._inheriting:
                return None  # the rules of another workspace are not its own
            self._faulty[path] = faulty
            return self._salvaged(model, item, faulty)
        spec = with_stack_file(spec, self.folder.path, self.file_name)
        self._valid[path] = spec
        return spec

    def _check_files(self, place: Place) -> None:
        """Check the files of all valid items; a script with the Python of its environment."""
        assets: dict[tuple[type, str, str], list[Any]] = {}
        there = (one for found in self.beside.values() for one in found)
        for spec in (*self._valid.values(), *there):
            if isinstance(spec, EnvironmentSpec | ModelSpec):
                assets.setdefault((type(spec), spec.workspace, spec.name), []).append(spec)
        for path, spec in self._valid.items():
            deploys = isinstance(spec, DeploymentSpec | BatchDeploymentSpec)
            served = _served(spec, assets) if deploys else Served()
            served = replace(served, on_this_machine=on_this_machine(place))
            for fault in file_faults(spec, self.folder, served):
                self.faults.append(replace(fault, path=join(path, fault.path)))

    def _reported_elsewhere(self, item: str, field: str) -> bool:
        """Return whether the value is another item's, which has the fault already."""
        if item in self._moved and field in ("endpoint", "workspace"):
            return True
        return item in self._inheriting and field == "workspace"

    def _without_computed(self, model: type[BaseModel], item: Any, path: str) -> Any:
        """Return the item without what the loader fills in; each such field is a fault."""
        if not isinstance(item, dict):
            return item
        computed = marked(model, COMPUTED)
        for name in sorted(computed & item.keys()):
            reason = f"{name} is computed and cannot be set"
            self.faults.append(Fault(join(path, name), reason, "remove it"))
        kept = {key: value for key, value in item.items() if key not in computed}
        for name, info in model.model_fields.items():
            for inner in models_in(info.annotation)[:1]:
                if name in kept:
                    kept[name] = self._without_computed(inner, kept[name], join(path, name))
        return kept

    @staticmethod
    def _salvaged(model: type[SpecModel], item: Any, faulty: set[str]) -> SpecModel | None:
        if not isinstance(item, dict) or not faulty:
            return None
        try:
            return model.model_validate({k: v for k, v in item.items() if k not in faulty})
        except ValidationError:
            return None

    def _name(self, value: dict[str, Any]) -> str:
        try:
            return StackSpec(name=value["name"]).name
        except KeyError:
            remedy = "add `name: <stack>`; it is the owner label of what the stack makes"
            self.faults.append(Fault("name", "this field is missing", remedy))
        except ValidationError as exc:
            self.faults += faults_of(exc, StackSpec)
        return ""

    def _cross_rules(self, stack: StackSpec) -> None:
        told = {fault.path for fault in self.faults}
        around = {place for path in told for place in _places(path)}
        for fault in stack_faults(stack):
            # A faulty field stands at its default here: faults that follow from that add nothing.
            if fault.path not in around and told.isdisjoint(_places(fault.path)):
                self.faults.append(fault)

    def faults_beside(self, unread: Iterable[Fault]) -> list[Fault]:
        """Return the faults but those of a value that could not be read: they are of its name."""
        untold = {fault.path for fault in unread}
        return [one for one in self.faults if untold.isdisjoint(_places(self.written_at(one.path)))]

    def written_at(self, path: str) -> str:
        """Return where a person wrote what stands at `path`."""
        head = ".".join(path.split(".")[:2])
        if head not in self._moved:
            return path
        tail = path[len(head) + 1 :]
        if not tail:
            return self._moved[head]
        return join(self._moved[head], "traffic" if tail == "endpoint" else tail)


def _place(workspaces: Iterable[SpecModel | None]) -> Place:
    """Return where the workspaces are: all in one place, which another rule checks."""
    known = (one for one in workspaces if isinstance(one, WorkspaceSpec))
    return next(known, WorkspaceSpec()).target


def _places(path: str) -> Iterator[str]:
    """Yield a dotted path and everything that it lies in."""
    while path:
        yield path
        path = path.rpartition(".")[0]


def _faults_by_kind(faults: Iterable[Fault], row: Row, model: type[SpecModel]) -> Iterator[Fault]:
    """Yield faults; one of a field that another kind has tells so, unless the kind is at fault."""
    faults = tuple(faults)
    kind_is_wrong = any(fault.path == "kind" for fault in faults)
    for fault in faults:
        kinds = [kind_of(other) for other in row.models if fault.path in other.model_fields]
        if not kinds or fault.path in model.model_fields:
            yield fault
        elif not kind_is_wrong:
            reason = f"unknown field '{fault.path}' with kind: {kind_of(model)}"
            yield replace(fault, reason=reason, remedy=f"leave it out, or write kind: {kinds[0]}")


def _served(spec: Any, assets: dict[tuple[type, str, str], list[Any]]) -> Served:
    """Return the declared assets that a deployment's references fit."""

    def fitting(kind: type, asked: str | None) -> tuple[Any, ...]:
        reference = Reference.parse(asked or "")
        named = assets.get((kind, spec.workspace, reference.name), ())
        return tuple(asset for asset in named if reference.fits(asset.name, asset.version))

    return Served(fitting(EnvironmentSpec, spec.environment), fitting(ModelSpec, spec.model))


def _fill_workspace(raw: dict[str, list[Any]]) -> frozenset[str]:
    """Give the only workspace to all that name none; return which those are."""
    workspaces = raw.get("workspaces", [{}])
    only = workspaces[0] if len(workspaces) == 1 else None
    if not isinstance(only, dict):
        return frozenset()
    inheriting = set()
    for listing, items in raw.items():
        for i, item in enumerate(items):
            if listing != "workspaces" and isinstance(item, dict) and "workspace" not in item:
                items[i] = {"workspace": only.get("name", "default"), **item}
                inheriting.add(f"{listing}.{i}")
    return frozenset(inheriting)
