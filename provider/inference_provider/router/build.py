"""Records, keys and backends of a workspace -> entries of the router's table. Pure.

Entries are always built from all records and never patched, so two callers that change two
deployments cannot lose each other's change. The target provides records, keys and backends.
"""

import operator
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

from pydantic import SecretStr

from inference_provider.observed import Kind, Record
from inference_provider.router.holding import LONGEST_PATIENCE_S
from inference_provider.router.scorers import Access
from inference_provider.router.table import (
    Backend,
    Cors,
    DeploymentEntry,
    EndpointEntry,
    EndpointKeys,
    Limits,
    OutboundEntry,
    ProviderCheck,
    RouterTable,
    Scorers,
    TokenCheck,
)
from inference_provider.serving.server import server_of
from inference_provider.spec import EnvironmentSpec
from inference_provider.spec.request_limits import BODY_MIB

Keys = Callable[[str], tuple[SecretStr, SecretStr] | None]
"""Endpoint's name -> its primary and secondary key; None when they are lost."""
Jwks = Callable[[str], str | None]
"""Endpoint's name -> the public keys of its tokens, a JSON Web Key Set; None when lost."""
Backends = Callable[[Record], tuple[Backend, ...]]
"""Deployment -> its instances that take requests."""
Environment = Callable[[str], EnvironmentSpec]
"""Pinned reference, `<name>:<version>@sha256:<hash>` -> the environment that it names."""
_NOTICED_S = 30
"""Time that what counts requests, and finds a place for an instance, may take before it starts."""
_START_S = 120
"""Longest start of a deployment whose record does not say it."""
_DeploymentInputs = tuple[Record, tuple[Backend, ...], bool]


class _EndpointInputs(NamedTuple):
    """What an endpoint's entry depends on."""

    record: Record
    keys: EndpointKeys
    jwks: str | None
    provider: ProviderCheck | None
    scorers: Scorers
    deployment_scorers: Mapping[str, Scorers]
    deployments: tuple[DeploymentEntry, ...]
    traffic: Mapping[str, Any]


READ = frozenset(
    {
        (Kind.WORKSPACE, ""),
        (Kind.ENDPOINT, "online"),
        (Kind.ROLE_ASSIGNMENT, ""),
        (Kind.DEPLOYMENT, "online"),
        (Kind.TRAFFIC, ""),
        (Kind.AUTOSCALE_RULE, ""),
    }
)
"""Kinds and variants whose records the entries are built from: a change of one is published."""


class Builder:
    """Builds the entries; one whose inputs did not change is the same object as last time.

    A workspace with a thousand endpoints changes one at a time: rendering and comparison recognize
    the others by identity.
    """

    def __init__(self) -> None:
        self._deployments: dict[str, tuple[_DeploymentInputs, DeploymentEntry]] = {}
        self._endpoints: dict[str, tuple[_EndpointInputs, EndpointEntry]] = {}
        self._access: tuple[list[Record], Access] = [], Access(None, ())

    def endpoints(
        self,
        records: Iterable[Record],
        keys: Keys,
        jwks: Jwks,
        backends: Backends,
        environment: Environment,
    ) -> tuple[EndpointEntry, ...]:
        """Return an entry for every recorded online endpoint, in the order of the records.

        An endpoint whose keys are lost gets none and answers 401 to everybody.

        Args:
            records: All records of one workspace; those that are not in READ are ignored.
            keys: Called once per endpoint that is asked with keys.
            jwks: Called once per endpoint that is asked with tokens of its own.
            backends: Called once per deployment.
            environment: Called for deployments whose record or backends changed.
        """
        by_kind: dict[tuple[Kind, str], list[Record]] = {}
        for record in records:
            by_kind.setdefault((record.id.kind, record.variant), []).append(record)
        online = by_kind.get((Kind.DEPLOYMENT, "online"), [])
        rules = by_kind.get((Kind.AUTOSCALE_RULE, ""), [])
        deployments = self._by_endpoint(online, _to_zero(rules), backends, environment)
        traffic = {r.id.name: r.properties for r in by_kind.get((Kind.TRAFFIC, ""), [])}
        workspaces, assignments = (
            by_kind.get((kind, ""), []) for kind in (Kind.WORKSPACE, Kind.ROLE_ASSIGNMENT)
        )
        access = self._allowed(workspaces, assignments)
        found = {}
        for record in by_kind.get((Kind.ENDPOINT, "online"), []):
            name, behind = record.id.name, deployments.get(record.id.name, ())
            provided = access.provider if has_provider(record.properties) else None
            whole = access.endpoint(name) if provided else Scorers()
            names = (one.name for one in behind)
            inputs = _EndpointInputs(
                record=record,
                keys=(keys(name) if has_keys(record.properties) else None) or (),
                jwks=jwks(name) if has_tokens(record.properties) else None,
                provider=provided,
                scorers=whole,
                deployment_scorers=access.deployments(name, names) if provided else {},
                deployments=behind,
                traffic=traffic.get(name, {}),
            )
            known = self._endpoints.get(name)
            same = known is not None and known[0] == inputs
            found[name] = known if known and same else (inputs, _endpoint_entry(inputs))
        self._endpoints = found
        return tuple(entry for _, entry in found.values())

    def _allowed(self, workspaces: list[Record], assignments: list[Record]) -> Access:
        inputs = [*workspaces[:1], *assignments]
        known, access = self._access
        if len(known) != len(inputs) or any(map(operator.is_not, known, inputs)):
            access = Access(workspaces[0] if workspaces else None, assignments)
            self._access = inputs, access
        return access

    def _by_endpoint(
        self,
        records: list[Record],
        to_zero: Collection[str],
        backends: Backends,
        environment: Environment,
    ) -> dict[str, tuple[DeploymentEntry, ...]]:
        """Return the deployments of each endpoint, by the endpoint's name."""
        found: dict[str, tuple[DeploymentEntry, ...]] = {}
        entries = {}
        for record in records:
            inputs = record, backends(record), record.id.name in to_zero
            known = self._deployments.get(record.id.name)
            if known is None or known[0] != inputs:
                pinned = environment(record.properties["environment"])
                known = inputs, _deployment_entry(record.properties, *inputs[1:], pinned)
            entries[record.id.name] = known
            endpoint = record.properties["endpoint"]
            found[endpoint] = (*found.get(endpoint, ()), known[1])
        self._deployments = entries
        return found


def with_keys_in_force(new: RouterTable, old: RouterTable | None) -> RouterTable:
    """Return the new table; endpoints whose keys are lost keep those in force.

    So an unrelated change never locks an endpoint's callers out.
    """
    if old is None or not any(map(_lacks_keys, new.endpoints)):
        return new
    known = {endpoint.name: endpoint for endpoint in old.endpoints}
    endpoints = tuple(
        _with_keys(endpoint, known.get(endpoint.name)) if _lacks_keys(endpoint) else endpoint
        for endpoint in new.endpoints
    )
    return new.model_copy(update={"endpoints": endpoints})


def outbound_of(rules: Iterable[Mapping[str, Any]]) -> tuple[OutboundEntry, ...]:
    """Return where instances may go, of what is recorded of their workspace."""
    return tuple(
        OutboundEntry(
            destination=rule["destination"],
            ports=tuple(rule["ports"]),
            private=rule["allow_private_addresses"],
        )
        for rule in rules
    )


def has_keys(endpoint: Mapping[str, Any]) -> bool:
    """Whether an endpoint with these properties is asked with keys."""
    return bool(endpoint["auth_mode"] == "key")


def has_tokens(endpoint: Mapping[str, Any]) -> bool:
    """Whether an endpoint with these properties is asked with tokens that its own keys sign."""
    return bool(endpoint["auth_mode"] == "aml_token")


def has_provider(endpoint: Mapping[str, Any]) -> bool:
    """Whether an endpoint with these properties is asked with tokens of an identity provider."""
    return bool(endpoint["auth_mode"] == "aad_token")


def _lacks_keys(endpoint: EndpointEntry) -> bool:
    return not {"key": endpoint.keys, "aml_token": endpoint.tokens}.get(endpoint.auth_mode, True)


def _with_keys(endpoint: EndpointEntry, before: EndpointEntry | None) -> EndpointEntry:
    if before is None or before.auth_mode != endpoint.auth_mode:
        return endpoint
    return endpoint.model_copy(update={"keys": before.keys, "tokens": before.tokens})


def _endpoint_entry(inputs: _EndpointInputs) -> EndpointEntry:
    record, jwks = inputs.record, inputs.jwks
    there = {entry.name for entry in inputs.deployments}
    cors = record.properties.get("cors")  # an older release recorded none
    limited = record.properties.get("request_limits") or {}
    limits = _limits(limited)
    weights, mirror = (
        {n: share for n, share in inputs.traffic.get(field, {}).items() if n in there and share > 0}
        for field in ("traffic", "mirror_traffic")
    )
    return EndpointEntry(
        name=record.id.name,
        auth_mode=record.properties["auth_mode"],
        keys=inputs.keys,
        tokens=TokenCheck.of(record.id, jwks) if jwks else None,
        provider=inputs.provider,
        scorers=inputs.scorers,
        deployment_scorers=dict(inputs.deployment_scorers),
        cors=Cors.model_validate(cors) if cors else None,
        limits=limits if limits != Limits() else None,
        max_body_mib=limited.get("max_body_mib", BODY_MIB),
        sources=tuple(record.properties.get("allowed_source_ranges") or ()),
        deployments=inputs.deployments,
        weights=weights,
        mirror=mirror,
    )


def _limits(fields: Mapping[str, Any]) -> Limits:
    return Limits(
        per_minute=fields.get("requests_per_minute") or 0,
        per_minute_per_caller=fields.get("requests_per_minute_per_caller") or 0,
    )


def _to_zero(rules: Iterable[Record]) -> set[str]:
    """Return the deployments whose rule may leave them no instance."""
    found = ((rule.id.name, rule.properties) for rule in rules)
    return {name for name, said in found if said["enabled"] and _least_of(said) == 0}


def _least_of(rule: Mapping[str, Any]) -> int:
    """Return the fewest instances that a rule allows, at any time."""
    schedules = rule.get("schedules", ())
    return int(min([rule["min_instances"], *(one["min_instances"] for one in schedules)]))


def _deployment_entry(
    fields: Mapping[str, Any],
    backends: tuple[Backend, ...],
    to_zero: bool,
    environment: EnvironmentSpec,
) -> DeploymentEntry:
    settings, probe = fields["request_settings"], fields["readiness_probe"]
    server = server_of(None, environment)
    return DeploymentEntry(
        name=fields["name"],
        backends=backends,
        timeout_ms=settings["request_timeout_ms"],
        max_concurrent=settings["max_concurrent_requests_per_instance"],
        retry_on_503=settings["retry_on_503"],
        health_path=server.readiness_path,
        health_interval_ms=probe["period"] * 1000,
        health_timeout_ms=probe["timeout"] * 1000,
        health_failures=probe["failure_threshold"],
        scoring_path=server.scoring_path,
        patience_s=_patience_s(fields) if to_zero else 0,
    )


def _patience_s(deployment: Mapping[str, Any]) -> int:
    """Return how long a request waits for the first instance: as long as that may take."""
    probe, start = deployment["readiness_probe"], deployment.get("start_timeout_s", _START_S)
    return int(min(probe.get("initial_delay", 0) + start + _NOTICED_S, LONGEST_PATIENCE_S))
