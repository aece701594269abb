"""Workspace: where things live."""

import ipaddress
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, field_validator

from inference_provider.spec.base import (
    CAPACITY,
    COSMETIC,
    NO_SECRET,
    REPLACES,
    ROLLS_SECURITY,
    SECURITY,
    Enabled,
    ResourceName,
    SpecModel,
    Tags,
)
from inference_provider.spec.cluster import ClusterSettings
from inference_provider.spec.identity_provider import IdentityProvider
from inference_provider.spec.instance_type import InstanceType, TypeName
from inference_provider.spec.logs import LogSettings
from inference_provider.spec.metrics import MetricsSettings
from inference_provider.spec.outbound import OutboundRule
from inference_provider.spec.reference import ImageName
from inference_provider.spec.roles import CustomRole, RoleTitle
from inference_provider.spec.secret_store import AnySecretStore, EncryptedFileStore
from inference_provider.spec.service import ServiceSettings
from inference_provider.spec.sources import ListenedAddress, SourceRange, meant_by
from inference_provider.spec.target import Place
from inference_provider.spec.tls import TlsSettings
from inference_provider.spec.traces import TraceSettings
from inference_provider.spec.unchecked import unchecked


def _an_absolute_path(text: str) -> str:
    if not text.startswith("/") or any(sign in text for sign in ":,\n\0"):  # Docker parts binds so
        raise ValueError("expected the path of a socket, such as /var/run/docker.sock")
    return text


def _first_twice(values: Sequence[str]) -> str:
    return next((one for at, one in enumerate(values) if one in values[:at]), "")


_ONCE = {
    "name": "give each rule a name of its own",
    "destination": "merge them into one rule: `ports: [80, 8443]`",
}
"""What is there once among outbound rules, and what to do when it is not."""


class Quota(SpecModel):
    """What all deployments of a workspace may use together."""

    max_instances: Annotated[int, Field(ge=1)] | None = None
    """Most instances over all deployments; no limit when left out."""
    max_gpus: Annotated[int, Field(ge=0)] | None = None
    """Most GPUs handed out over all deployments; what the machine has when left out. A slice counts
    as one, and so does each instance that shares one."""


class WorkspaceSpec(SpecModel):
    """Where endpoints live: a target, its router and its limits."""

    name: Annotated[ResourceName, REPLACES] = "default"
    """Unique on its target."""
    target: Annotated[Place, REPLACES] = "local"
    """What runs the instances: processes of this machine, a Docker host, a cluster. A word, or
    settings: `{kind: docker, host: ssh://gpu-1}`."""
    bind_address: Annotated[ListenedAddress, SECURITY, NO_SECRET] = "127.0.0.1"
    """Address the router listens on; instances of the `local` target listen on loopback only."""
    router_port: Annotated[int, Field(ge=0, le=65535), REPLACES] = 0
    """TCP port of the router; 0 picks a free one once and keeps it."""
    tls: Annotated[TlsSettings | None, SECURITY] = None
    """The certificate of the router, which then speaks HTTPS alone; plain HTTP when left out."""
    allow_plain_http: Annotated[bool, SECURITY] = False
    """Whether keys and tokens may cross a network unencrypted: a router without `tls` is refused
    where others than its own machine reach it."""
    public_network_access: Annotated[Enabled, SECURITY] = "enabled"
    """`disabled` refuses a bind address other than loopback."""
    allowed_source_ranges: Annotated[tuple[SourceRange, ...], SECURITY, NO_SECRET] = ()
    """Addresses that may call any endpoint: `[10.0.0.0/8, 2001:db8::/32]`; all when left out. It is
    the address of the connection that counts, and no header but with `trusted_hops`. Others are
    answered 403."""
    trusted_proxies: Annotated[tuple[SourceRange, ...], SECURITY, NO_SECRET] = ()
    """Addresses of the proxies, or of the Ingress or Gateway, that connect to the router where
    there are `trusted_hops`. Nobody else may connect: who is not one of them is answered 403."""
    trusted_hops: Annotated[int, Field(ge=0, le=10, validate_default=True), SECURITY] = 0
    """How many such proxies a request passes one after the other: the caller's address is then the
    entry of `X-Forwarded-For` that the first of them wrote."""
    egress: Annotated[Enabled, ROLLS_SECURITY] = "enabled"
    """`disabled` closes the way out of all instances; not every target can. A change starts new
    instances of every deployment."""
    allow_unenforced_egress: Annotated[bool, SECURITY] = False
    """Whether closed egress may be left to others, such as a firewall of the machine, where the
    target can neither close it nor tell that it is closed; it is refused there otherwise."""
    outbound_rules: Annotated[tuple[OutboundRule, ...], SECURITY, NO_SECRET] = ()
    """Where instances may go all the same, with `egress: disabled`, by the forward proxy that
    `HTTPS_PROXY` and `HTTP_PROXY` name to them: the router. Another list starts no new instance."""
    base_image: ImageName | None = None
    """Container image with Python and CA certificates that images are built on, from then on: the
    router's, and those of environments that name none. Python's own slim image when left out."""
    runtime_image: ImageName | None = None
    """Image of the router's container, as `inferctl image build --push` publishes it; built when
    left out, on a Docker host or for the `registry` of a workspace in a cluster, which needs one of
    both. A change of it replaces the router without a failed request."""
    registry: Annotated[str, Field(pattern=r"^[a-z0-9][-_.:/a-z0-9]*$")] | None = None
    """Registry and folder, `registry.example.org/team`: images that are built are pushed there, and
    pulled from there instead of built again, with the credentials of a connection to it, else of
    Docker's configuration. For a cluster, a Docker Engine of the client builds those that it lacks,
    of environments made from then on too; without it, packages are installed in pods."""
    engine_socket: Annotated[str, AfterValidator(_an_absolute_path), SECURITY, NO_SECRET] | None = (
        None
    )
    """Path of the Docker Engine's socket on its host, `/var/run/docker.sock`, for the container
    that keeps autoscale rules, moves splits, serves metrics, sends logs and watches alerts there,
    and the one of `service`: with it they are root of the host. Without it rules, rollouts,
    `metrics`, `logs`, alerts and `service` on a Docker host are refused."""
    identity_provider: Annotated[IdentityProvider | None, SECURITY] = None
    """Whose tokens endpoints of auth_mode `aad_token` take; there are none without it."""
    secret_store: Annotated[AnySecretStore, SECURITY] = EncryptedFileStore()
    """Where credentials of connections lie: with the workspace, encrypted, when left out. Any other
    is read, and never written: `{kind: vault, address: https://vault.example.org:8200}`."""
    metrics: Annotated[MetricsSettings | None, CAPACITY] = None
    """Where what is measured goes: `{port: 9464}`. `inferctl metrics` needs none of it."""
    service: Annotated[ServiceSettings | None, SECURITY] = None
    """Where the workspace service gives tokens to callers that its roles let have them:
    `{port: 18443}`; nowhere when left out."""
    logs: Annotated[LogSettings | None, CAPACITY] = None
    """Where logs go, and for how long they stay: `{otlp_endpoint: "http://127.0.0.1:4318",
    retention_days: 30}`. `inferctl logs` needs none of it."""
    traces: Annotated[TraceSettings | None, CAPACITY] = None
    """Where the router sends spans: `{otlp_endpoint: "http://127.0.0.1:4318"}`. Without it a
    caller's `traceparent` is passed on as it came. A change of it cuts requests that take longer
    than 10 s."""
    cluster: Annotated[ClusterSettings, CAPACITY] = ClusterSettings()
    """What only a cluster has: storage of content, service and replicas of the router."""
    instance_types: Annotated[dict[TypeName, InstanceType], CAPACITY] = {}
    """What an `instance_type` of a deployment means, by name; common sizes of Azure are known
    already, and may be given other amounts here."""
    quota: Annotated[Quota, CAPACITY] = Quota()
    """What all deployments may use together."""
    roles: Annotated[dict[RoleTitle, CustomRole], SECURITY] = {}
    """Roles of its own, by name, beside the built-in ones of Azure."""
    description: Annotated[str, COSMETIC] = ""
    tags: Annotated[Tags, COSMETIC] = {}

    @field_validator("outbound_rules")
    @classmethod
    def _rules_of_what_is_closed(
        cls, rules: tuple[OutboundRule, ...], info: ValidationInfo
    ) -> tuple[OutboundRule, ...]:
        if rules and info.data.get("egress") == "enabled":
            raise ValueError(
                "outbound_rules need `egress: disabled`; set it, or remove outbound_rules"
            )
        for field, remedy in _ONCE.items():
            twice = _first_twice([getattr(rule, field) for rule in rules])
            if twice:
                raise ValueError(f"{field} '{twice}' is there twice; {remedy}")
        return rules

    @field_validator("trusted_hops")
    @classmethod
    def _hops_are_of_known_proxies(cls, hops: int, info: ValidationInfo) -> int:
        proxies = info.data.get("trusted_proxies")
        if proxies is None:  # faulty
            return hops
        if hops and not proxies:
            raise ValueError(
                "whoever connects to the router could then claim to be anybody; name in"
                " trusted_proxies the addresses from which proxies connect"
            )
        if proxies and not hops:
            raise ValueError(
                "trusted_proxies count only with trusted_hops; set it to how many proxies a request"
                " passes, or remove trusted_proxies"
            )
        if everybody := _everybody(proxies):
            raise ValueError(
                f"trusted_proxies names everybody, {everybody}, who could then claim to be anybody;"
                " name the addresses from which proxies connect"
            )
        return hops

    @field_validator("service")
    @classmethod
    def _disabled_binds_the_service_too(
        cls, service: ServiceSettings | None, info: ValidationInfo
    ) -> ServiceSettings | None:
        closed = info.data.get("public_network_access") == "disabled"
        if service and closed and not service.is_local:
            raise ValueError(
                f"bind_address {service.bind_address} is reachable from outside; bind a loopback"
                " address, or enable public_network_access"
            )
        return service

    @field_validator("public_network_access")
    @classmethod
    def _disabled_binds_loopback(cls, access: str, info: ValidationInfo) -> str:
        bound = info.data.get("bind_address")  # None: faulty, or not known yet
        if access == "disabled" and bound and not ipaddress.ip_address(bound).is_loopback:
            raise ValueError(
                f"bind_address {bound} is reachable from outside; bind a loopback address, or"
                " enable public_network_access"
            )
        return access


def _everybody(ranges: Collection[str]) -> str:
    """Return a range that leaves out no address, or several that together leave out none."""
    known = {one: meant_by(one) for one in ranges}
    if whole := [one for one, found in known.items() if not found.prefixlen]:
        return whole[0]
    for version in (4, 6):
        of_it = {one: found for one, found in known.items() if found.version == version}
        left = [*ipaddress.collapse_addresses(of_it.values())]  # type: ignore[type-var]
        if any(not one.prefixlen for one in left):
            return " and ".join(of_it)
    return ""


_MADE_BY = (
    *("base_image", "runtime_image", "registry", "router_port", "cluster"),
    *("engine_socket", "metrics", "logs"),
    *("egress", "outbound_rules", "allow_unenforced_egress"),
    *("allowed_source_ranges", "trusted_proxies", "trusted_hops"),
)


def recorded_space(fields: Mapping[str, Any]) -> WorkspaceSpec:
    """Return a workspace by its record, as far as what a target makes for it depends on it."""
    known = {name: fields[name] for name in _MADE_BY if name in fields}
    for name, model in (("metrics", MetricsSettings), ("logs", LogSettings)):
        try:
            model.model_validate(known.get(name))
        except ValidationError:  # of a newer release, which has them go elsewhere too
            known.pop(name, None)
    try:
        return WorkspaceSpec(**known)
    except ValidationError:  # of a release that took what is refused now
        return unchecked(WorkspaceSpec, known)
