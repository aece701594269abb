"""Workspace and Connection: where endpoints live, and credentials for what they use.

Goes in: typed arguments, each of which may be an output of another resource. The provider's check
reports all faults in them at once.
"""

from collections.abc import Mapping, Sequence

from pulumi import Input, Output, ResourceOptions

from inference_provider.dynamic.connection import ConnectionProvider
from inference_provider.dynamic.workspace import WorkspaceProvider
from pulumi_inference.args import (
    ClusterSettingsArgs,
    InstanceTypeArgs,
    QuotaArgs,
    ServiceArgs,
    TargetInput,
)
from pulumi_inference.base import InferenceResource
from pulumi_inference.security_args import (
    CustomRoleArgs,
    IdentityProviderArgs,
    OutboundRuleArgs,
    SecretStoreInput,
    TlsArgs,
)
from pulumi_inference.telemetry_args import LogsArgs, MetricsArgs, TracesArgs


class Workspace(InferenceResource, module="inference", name="Workspace"):
    """Where endpoints live: a target, its router and its limits.

    Args:
        resource_name: Name in the Pulumi stack.
        name: 3 to 32 letters, digits and single dashes; the resource's name when left out. Another
            name makes another workspace.
        target: `local` when left out: processes of this machine. A word, or settings such as
            `{"kind": "docker", "host": "ssh://gpu-1"}`; only `local` is supported yet.
        bind_address: Address the router listens on; `127.0.0.1` when left out.
        router_port: TCP port of the router, 0 to 65535; 0 picks a free one once and keeps it.
        tls: The certificate of the router, which then speaks HTTPS alone.
        allow_plain_http: Whether a router without `tls` may be reached by others than its own
            machine, so that keys and tokens cross a network unencrypted.
        public_network_access: `enabled`, or `disabled` to refuse any bind address but loopback.
        allowed_source_ranges: Addresses that may call any endpoint, in CIDR notation; all when
            left out.
        trusted_proxies: Addresses of the proxies in front of the router, in CIDR notation; nobody
            else may connect then.
        trusted_hops: How many of them a request passes; the address of the caller is then what
            the first of them wrote in `X-Forwarded-For`.
        egress: `enabled`, or `disabled` to block instances' outgoing traffic where a target can.
        allow_unenforced_egress: Whether closed egress may be left to others, such as a firewall,
            where the target can neither close it nor tell that it is closed.
        outbound_rules: Where instances may go all the same, with `egress` disabled.
        base_image: Container image with Python and CA certificates that the router's image and
            those of environments are built on from then on; Python's own slim image when left out.
        runtime_image: Image of the router's container; built on the host when left out.
        registry: Registry and folder to which images that are built are pushed, and from which
            they are pulled instead of built again.
        engine_socket: Path of the Docker Engine's socket on its host, for the container that keeps
            autoscale rules there, which is root of the host with it.
        identity_provider: Whose tokens endpoints of auth_mode `aad_token` take.
        secret_store: Where credentials of connections lie; with the workspace, encrypted, when left
            out.
        metrics: Where what is measured of its endpoints and deployments goes.
        service: Where the workspace service gives tokens to callers; nowhere when left out.
        logs: Where its logs go, and how long they stay: calls, events, what instances print.
        traces: Where its router sends a span of each request.
        cluster: What only a cluster has: storage of content, service and replicas of the router.
        instance_types: What an `instance_type` of a deployment means, by name; common sizes of
            Azure are known already.
        quota: What all deployments may use together.
        roles: Roles of its own, by name, beside the built-in ones of Azure.
        description: What it is for.
        tags: Words of your own, by name.
        stack: Owner's label; the Pulumi project's name when left out.
        opts: Pulumi's resource options.
    """

    provider_type = WorkspaceProvider

    name: Output[str]
    router_url: Output[str]
    """URL of the router."""
    metrics_url: Output[str]
    """URL of the router's metrics."""
    ca_certificate: Output[str | None]
    """Whom callers must trust, in PEM, where `tls` is generated."""

    def __init__(
        self,
        resource_name: str,
        *,
        name: Input[str] | None = None,
        target: TargetInput | None = None,
        bind_address: Input[str] | None = None,
        router_port: Input[int] | None = None,
        tls: Input[TlsArgs] | None = None,
        allow_plain_http: Input[bool] | None = None,
        public_network_access: Input[str] | None = None,
        allowed_source_ranges: Input[Sequence[Input[str]]] | None = None,
        trusted_proxies: Input[Sequence[Input[str]]] | None = None,
        trusted_hops: Input[int] | None = None,
        egress: Input[str] | None = None,
        allow_unenforced_egress: Input[bool] | None = None,
        outbound_rules: Input[Sequence[Input[OutboundRuleArgs]]] | None = None,
        base_image: Input[str] | None = None,
        runtime_image: Input[str] | None = None,
        registry: Input[str] | None = None,
        engine_socket: Input[str] | None = None,
        identity_provider: Input[IdentityProviderArgs] | None = None,
        secret_store: SecretStoreInput | None = None,
        metrics: Input[MetricsArgs] | None = None,
        service: Input[ServiceArgs] | None = None,
        logs: Input[LogsArgs] | None = None,
        traces: Input[TracesArgs] | None = None,
        cluster: Input[ClusterSettingsArgs] | None = None,
        instance_types: Input[Mapping[str, Input[InstanceTypeArgs]]] | None = None,
        quota: Input[QuotaArgs] | None = None,
        roles: Input[Mapping[str, Input[CustomRoleArgs]]] | None = None,
        description: Input[str] | None = None,
        tags: Input[Mapping[str, Input[str]]] | None = None,
        stack: Input[str] | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:
        fields = {
            "name": name,
            "target": target,
            "bind_address": bind_address,
            "router_port": router_port,
            "tls": tls,
            "allow_plain_http": allow_plain_http,
            "public_network_access": public_network_access,
            "allowed_source_ranges": allowed_source_ranges,
            "trusted_proxies": trusted_proxies,
            "trusted_hops": trusted_hops,
            "egress": egress,
            "allow_unenforced_egress": allow_unenforced_egress,
            "outbound_rules": outbound_rules,
            "base_image": base_image,
            "runtime_image": runtime_image,
            "registry": registry,
            "engine_socket": engine_socket,
            "identity_provider": identity_provider,
            "secret_store": secret_store,
            "metrics": metrics,
            "service": service,
            "logs": logs,
            "traces": traces,
            "cluster": cluster,
            "instance_types": instance_types,
            "quota": quota,
            "roles": roles,
            "description": description,
            "tags": tags,
        }
        super().__init__(resource_name, fields, stack, opts)


class Connection(InferenceResource, module="inference", name="Connection"):
    """A named set of credentials in the workspace's secret store.

    Args:
        resource_name: Name in the Pulumi stack.
        workspace: Its workspace or the name of it, 3 to 32 letters, digits and single dashes;
            `default` when left out.
        name: 3 to 33 letters, digits, `-` and `_`; the resource's name when left out. Another name
            makes another connection.
        category: Kind of service, with Azure ML's names, which says what credentials there must be;
            `CustomKeys`, which takes any, when left out. Another one makes another connection.
        target: URL of the service, if it has one.
        metadata: Further facts about it, in plain text; no secrets.
        credentials: Named secrets; encrypted in the state. A change starts new instances of every
            deployment whose variables refer to the connection.
        stored_credentials: Where each credential lies instead, in a `secret_store` of the workspace
            that is read: `{"key": "openai#key"}`.
        stack: Owner's label; the Pulumi project's name when left out.
        opts: Pulumi's resource options.
    """

    provider_type = ConnectionProvider

    workspace: Output[str]
    name: Output[str]

    def __init__(
        self,
        resource_name: str,
        *,
        workspace: Input[str] | Workspace | None = None,
        name: Input[str] | None = None,
        category: Input[str] | None = None,
        target: Input[str] | None = None,
        metadata: Input[Mapping[str, Input[str]]] | None = None,
        credentials: Input[Mapping[str, Input[str]]] | None = None,
        stored_credentials: Input[Mapping[str, Input[str]]] | None = None,
        stack: Input[str] | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:
        fields = {
            "workspace": workspace,
            "name": name,
            "category": category,
            "target": target,
            "metadata": metadata,
            "credentials": credentials,
            "stored_credentials": stored_credentials,
        }
        super().__init__(resource_name, fields, stack, opts)
