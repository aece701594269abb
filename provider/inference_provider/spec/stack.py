"""StackSpec: all kinds, and the rules between them.

Goes in: one validated document. Comes out: the same, with every cross-resource rule checked.
Files are not checked here: `files/` does that.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Set
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from pydantic import Field, PrivateAttr, StringConstraints

from inference_provider.errors import Fault
from inference_provider.injection import missing, value_of
from inference_provider.secret_text import Secrets
from inference_provider.spec.autoscale_rule import AutoscaleRuleSpec
from inference_provider.spec.base import SpecModel
from inference_provider.spec.bucket_credentials import bucket_fault
from inference_provider.spec.connection import ConnectionSpec, asked_in, contents_of
from inference_provider.spec.deployment import AnyDeployment
from inference_provider.spec.endpoint import AnyEndpoint
from inference_provider.spec.environment import FIELD_OF_PLACEHOLDER, EnvironmentSpec
from inference_provider.spec.identity import IdentitySpec, RoleAssignmentSpec
from inference_provider.spec.identity_provider import NAME_A_PROVIDER
from inference_provider.spec.instance_type import sized, type_fault
from inference_provider.spec.kinds import LISTED, ROWS, Kind, Row
from inference_provider.spec.listens import port_faults
from inference_provider.spec.model import ModelSpec
from inference_provider.spec.names import Named
from inference_provider.spec.quota import most_of, quota_fault, size_of, total
from inference_provider.spec.reference import Reference
from inference_provider.spec.roles import unknown_role
from inference_provider.spec.secret_store import misfit
from inference_provider.spec.target import Place
from inference_provider.spec.traffic import TrafficSpec
from inference_provider.spec.workspace import Quota, WorkspaceSpec

MAX_DEPLOYMENTS_PER_ENDPOINT = 20
"""Azure ML's endpoint limits."""


StackName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9][-_.a-zA-Z0-9]{0,99}$")]


class StackSpec(SpecModel):
    """Everything one stack file declares; its name is the owner label of what it makes."""

    name: StackName
    workspaces: Annotated[tuple[WorkspaceSpec, ...], Field(min_length=1)] = (WorkspaceSpec(),)
    connections: tuple[ConnectionSpec, ...] = ()
    models: tuple[ModelSpec, ...] = ()
    environments: tuple[EnvironmentSpec, ...] = ()
    identities: tuple[IdentitySpec, ...] = ()
    endpoints: tuple[AnyEndpoint, ...] = ()
    role_assignments: tuple[RoleAssignmentSpec, ...] = ()
    deployments: tuple[AnyDeployment, ...] = ()
    traffic: tuple[TrafficSpec, ...] = ()
    autoscale_rules: tuple[AutoscaleRuleSpec, ...] = ()
    _placeholders: Mapping[str, Secrets] = PrivateAttr(default_factory=dict)
    _folders: Mapping[str, str] = PrivateAttr(default_factory=dict)
    _faulty: Mapping[str, Set[str]] = PrivateAttr(default_factory=dict)
    _notes: tuple[str, ...] = PrivateAttr(default=())
    """By `<listing>.<i>`: fields that are written wrong, and stand at their defaults here. Any
    may be what an unknown one was meant to be."""

    def knows(self, listing: str, i: int, *fields: str) -> bool:
        """Whether these fields of an item, or all of it, are as they were written."""
        faulty = self._faulty.get(f"{listing}.{i}", frozenset())
        model = type(getattr(self, listing)[i])
        return not faulty or (bool(fields) and faulty <= model.model_fields.keys() - {*fields})

    def knowing(self, listing: str, *fields: str) -> Iterator[Any]:
        """Yield the items of a listing in which these fields, or all, are as they were written."""
        for i, one in enumerate(getattr(self, listing)):
            if self.knows(listing, i, *fields):
                yield one

    @property
    def place(self) -> Place:
        """Where its workspaces are: all of them in one place."""
        return self.workspaces[0].target

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of how its files were read."""
        return self._notes

    def placeholders(self, listing: str, i: int) -> Secrets:
        """Return what placeholders stood for in free text of one item."""
        return self._placeholders.get(f"{listing}.{i}", ())

    def folder(self, listing: str, i: int) -> str:
        """Return what paths in one item are relative to: the folder of the file it stands in."""
        return self._folders.get(f"{listing}.{i}", ".")


def stack_faults(stack: StackSpec) -> tuple[Fault, ...]:
    """Return every broken rule between the resources of a stack.

    Sources: Azure ML's endpoint limits (features.md 1.18); a weight names only what exists.
    """
    return tuple(
        [
            *_duplicates(stack),
            *_workspace_faults(stack),
            *_target_faults(stack),
            *_named_faults(stack),
            *_injection_faults(stack),
            *_store_faults(stack),
            *_bucket_faults(stack),
            *_role_faults(stack),
            *_kind_faults(stack),
            *_token_faults(stack),
            *_deployment_faults(stack),
            *_place_faults(stack),
            *_type_faults(stack),
            *_quota_faults(stack),
            *_limit_faults(stack),
            *port_faults(stack.workspaces, partial(stack.knows, "workspaces")),
        ]
    )


def _duplicates(stack: StackSpec) -> Iterator[Fault]:
    for listing, row in LISTED.items():
        seen: dict[tuple[str, ...], int] = {}
        for i, spec in enumerate(getattr(stack, listing)):
            # Azure ML lower-cases names: `Blue` and `blue` are one deployment.
            identity = tuple(str(getattr(spec, part)).lower() for part in row.identity)
            if identity in seen:
                yield Fault(
                    f"{listing}.{i}.{row.identity[-1]}",
                    f"'{'/'.join(identity)}' is already declared, as {listing}.{seen[identity]}",
                    "rename one of them",
                )
            seen.setdefault(identity, i)


def _workspace_faults(stack: StackSpec) -> Iterator[Fault]:
    names = {workspace.name for workspace in stack.workspaces}
    for listing, row in LISTED.items():
        if row.kind == Kind.WORKSPACE:
            continue
        for i, spec in enumerate(getattr(stack, listing)):
            if spec.workspace in names:
                continue
            place, there = f"{listing}.{i}.workspace", ", ".join(sorted(names))
            if "workspace" in spec.model_fields_set:
                reason = f"no workspace '{spec.workspace}' is declared"
                yield Fault(place, reason, f"declare it, or use one of: {there}")
            else:
                yield Fault(place, "this field is missing", f"write one of: {there}")


def _target_faults(stack: StackSpec) -> Iterator[Fault]:
    first = next(stack.knowing("workspaces", "target"), stack.workspaces[0])
    for i, workspace in enumerate(stack.workspaces):
        known = stack.knows("workspaces", i, "target")
        if known and workspace.target != first.target:
            reason = f"workspace '{first.name}' is on {first.target}, and this one is not"
            yield Fault(f"workspaces.{i}.target", reason, "declare a stack for each target")


def _named_faults(stack: StackSpec) -> Iterator[Fault]:
    """Yield what is named and declared nowhere."""
    items = [
        (row, f"{listing}.{i}", spec)
        for listing, row in LISTED.items()
        if row.kind != Kind.WORKSPACE
        for i, spec in enumerate(getattr(stack, listing))
    ]
    declared = {
        (row.kind, spec.workspace, name) for row, _, spec in items for name in _known_as(row, spec)
    }
    for row, place, spec in items:
        for named in row.references(spec):
            if (named.kind, spec.workspace, named.name) not in declared:
                mark = row.names[named.field.partition(".")[0]]
                remedy = mark.remedy if named.kind == mark.kinds[0] else ""
                remedy = remedy or f"declare it under {ROWS[named.kind].listing}"
                yield Fault(f"{place}.{named.field}", _missing(named, spec), remedy)


def _known_as(row: Row, spec: Any) -> Iterator[str]:
    yield row.place_of(spec)[1]
    if row.is_asset:
        yield Reference(spec.name, None).asset


def _missing(named: Named, spec: Any) -> str:
    if named.kind == Kind.DEPLOYMENT:
        endpoint, name = named.parts
        return f"no deployment '{name}' behind endpoint '{endpoint}'"
    text = getattr(spec, named.field) if ROWS[named.kind].is_asset else named.name
    return f"no {ROWS[named.kind].word} '{text}' in workspace '{spec.workspace}'"


def _injection_faults(stack: StackSpec) -> Iterator[Fault]:
    """Yield what variables ask of a declared connection that it does not have."""
    known = stack.knowing("connections")
    declared = {(one.workspace, one.name): contents_of(one) for one in known}
    for i, deployment in enumerate(stack.deployments):
        for variable, asked in asked_in(deployment.environment_variables):
            contents = declared.get((deployment.workspace, asked.connection))
            if contents is not None and value_of(contents, asked) is None:
                place = f"deployments.{i}.environment_variables.{variable}"
                yield Fault(place, missing(contents, asked), "correct one of the two")


def _store_faults(stack: StackSpec) -> Iterator[Fault]:
    """Yield connections whose credentials are not where their workspace's secret store has them."""
    known = stack.knowing("workspaces", "secret_store")
    stores = {one.name: one.secret_store.kind for one in known}
    for i, connection in enumerate(stack.connections):
        kind = stores.get(connection.workspace)
        if kind and (found := misfit(kind, connection)):
            field, reason, remedy = found
            yield Fault(f"connections.{i}.{field}", reason, remedy)


def _bucket_faults(stack: StackSpec) -> Iterator[Fault]:
    """Yield connections that are to have a bucket's credentials, and have not, or are not there."""
    declared = {(one.workspace, one.name): j for j, one in enumerate(stack.connections)}
    for i, workspace in enumerate(stack.workspaces):
        if not stack.knows("workspaces", i, "cluster"):
            continue
        storage, place = workspace.cluster.storage, f"workspaces.{i}.cluster.storage.connection"
        if not storage.connection or not storage.url:
            continue
        j = declared.get((workspace.name, storage.connection))
        if j is None:
            reason = f"no connection '{storage.connection}' in workspace '{workspace.name}'"
            yield Fault(place, reason, "declare it under connections")
        elif stack.knows("connections", j) and (
            found := bucket_fault(storage.url, contents_of(stack.connections[j]))
        ):
            yield Fault(place, *found)


def _role_faults(stack: StackSpec) -> Iterator[Fault]:
    """Yield roles that are not there, and scopes of deployments that are not declared."""
    roles = {one.name: one.roles for one in stack.knowing("workspaces", "roles")}
    declared = {workspace.name for workspace in stack.workspaces}
    behind = {
        (d.workspace, f"endpoints/{d.endpoint}/deployments/{d.name}") for d in stack.deployments
    }
    for i, one in enumerate(stack.role_assignments):
        unknown = unknown_role(one.role, roles.get(one.workspace, ()))
        if unknown and (one.workspace in roles or one.workspace not in declared):
            yield Fault(f"role_assignments.{i}.role", *unknown)
        if "/deployments/" in one.scope and (one.workspace, one.scope) not in behind:
            reason = f"no deployment '{one.scope}' in workspace '{one.workspace}'"
            yield Fault(f"role_assignments.{i}.scope", reason, "declare it under deployments")


def _kind_faults(stack: StackSpec) -> Iterator[Fault]:
    """Yield deployments of another kind than their endpoint."""
    known = stack.knowing("endpoints", "kind")
    kinds = {(endpoint.workspace, endpoint.name): endpoint.kind for endpoint in known}
    for i, deployment in enumerate(stack.deployments):
        place = f"deployments.{i}"
        kind = kinds.get((deployment.workspace, deployment.endpoint), deployment.kind)
        if kind == "serverless":
            reason = f"endpoint '{deployment.endpoint}' is serverless: its deployment is built in"
            yield Fault(f"{place}.endpoint", reason, "leave the deployment out")
        elif kind != deployment.kind:
            reason = f"'{deployment.kind}', and endpoint '{deployment.endpoint}' is {kind}"
            yield Fault(f"{place}.kind", reason, f"write kind: {kind}, or use another endpoint")


def _token_faults(stack: StackSpec) -> Iterator[Fault]:
    """Yield endpoints that take tokens of a provider that their workspace does not name."""
    known = stack.knowing("workspaces", "identity_provider")
    provided = {one.name: one.identity_provider is not None for one in known}
    for i, endpoint in enumerate(stack.endpoints):
        asks = endpoint.kind == "online" and endpoint.auth_mode == "aad_token"
        if asks and not provided.get(endpoint.workspace, True):
            reason = f"aad_token, and workspace '{endpoint.workspace}' names no identity_provider"
            yield Fault(f"endpoints.{i}.auth_mode", reason, NAME_A_PROVIDER)


def _deployment_faults(stack: StackSpec) -> Iterator[Fault]:
    own_server = {
        (env.workspace, env.name, version)
        for i, env in enumerate(stack.environments)
        if env.brings_server or not stack.knows("environments", i)
        for version in (env.version, None)
    }
    for i, deployment in enumerate(stack.deployments):
        if deployment.kind != "online":
            continue
        served_by = Reference.parse(deployment.environment)
        brings_server = (deployment.workspace, served_by.name, served_by.version) in own_server
        code = deployment.code_configuration
        if code is not None and code.scoring_script is None and not brings_server:
            yield Fault(
                f"deployments.{i}.code_configuration.scoring_script",
                "missing, and the environment brings no command of its own",
                "name the script with init() and run()",
            )
        if code is None and not brings_server:
            yield Fault(
                f"deployments.{i}.code_configuration",
                "missing, and the environment brings no command of its own",
                "name the code folder and its scoring_script, or give the environment a command",
            )


def _place_faults(stack: StackSpec) -> Iterator[Fault]:
    """Yield placeholders of a server's command that a deployment has no value for."""
    named: dict[tuple[str, str], list[EnvironmentSpec]] = {}
    for environment in stack.environments:
        named.setdefault((environment.workspace, environment.name), []).append(environment)
    for i, deployment in enumerate(stack.deployments):
        asked = Reference.parse(deployment.environment)
        there = named.get((deployment.workspace, asked.name), ())
        commands = [e.command for e in there if asked.fits(e.name, e.version)]
        for place, field in FIELD_OF_PLACEHOLDER.items():
            uses = [any(place in word for word in command) for command in commands]
            if getattr(deployment, field) is None and uses and all(uses):
                yield Fault(
                    f"deployments.{i}.{field}",
                    f"missing, and the environment's command uses {place}",
                    f"name one, or take {place} out of the command",
                )


def _type_faults(stack: StackSpec) -> Iterator[Fault]:
    known = stack.knowing("workspaces", "instance_types")
    types = {workspace.name: workspace.instance_types for workspace in known}
    for i, deployment in enumerate(stack.deployments):
        own = types.get(deployment.workspace)
        fault = type_fault(deployment, own) if own is not None else None
        if fault:
            yield replace(fault, path=f"deployments.{i}.{fault.path}")


def _place(deployment: AnyDeployment) -> tuple[str, str, str]:
    return deployment.workspace, deployment.endpoint, deployment.name


def _quota_faults(stack: StackSpec) -> Iterator[Fault]:
    most = {
        (rule.workspace, rule.endpoint, rule.deployment): most_of(rule)
        for rule in stack.autoscale_rules
    }
    for i, workspace in enumerate(stack.workspaces):
        if workspace.quota == Quota():
            continue
        declared = (
            size_of(sized(deployment, workspace.instance_types), most.get(_place(deployment), 0))
            for deployment in stack.deployments
            if deployment.workspace == workspace.name
        )
        exceeded = quota_fault(total(declared), workspace.quota.model_dump())
        if exceeded:
            field, reason = exceeded
            yield Fault(f"workspaces.{i}.quota.{field}", reason, "raise it, or declare fewer")


def _limit_faults(stack: StackSpec) -> Iterator[Fault]:
    counts = Counter((d.workspace, d.endpoint) for d in stack.deployments)
    for i, endpoint in enumerate(stack.endpoints):
        count = counts[endpoint.workspace, endpoint.name]
        if count > MAX_DEPLOYMENTS_PER_ENDPOINT:
            yield Fault(
                f"endpoints.{i}.name",
                f"{count} deployments behind '{endpoint.name}'",
                f"keep at most {MAX_DEPLOYMENTS_PER_ENDPOINT} per endpoint",
            )
