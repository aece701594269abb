"""Endpoint, Deployment, Traffic, AutoscaleRule: what answers requests.

Goes in: typed arguments, each of which may be an output of another resource. The provider's check
reports all faults in them at once.
"""

from collections.abc import Mapping, Sequence

from pulumi import Input, Output, ResourceOptions

from inference_provider.dynamic.autoscale_rule import AutoscaleRuleProvider
from inference_provider.dynamic.deployment import DeploymentProvider
from inference_provider.dynamic.endpoint import EndpointProvider
from inference_provider.dynamic.traffic import TrafficProvider
from pulumi_inference.alert_args import AlertRuleArgs
from pulumi_inference.args import (
    CodeConfigurationArgs,
    DataCollectorArgs,
    MetricRuleArgs,
    ProbeArgs,
    RequestSettingsArgs,
    ResourcesArgs,
    ScalingPaceArgs,
    ScheduleRuleArgs,
    SchedulingArgs,
    TargetRuleArgs,
)
from pulumi_inference.assets import Environment, Model
from pulumi_inference.base import InferenceResource
from pulumi_inference.identity import Identity
from pulumi_inference.rollout_args import RolloutPlanArgs
from pulumi_inference.security_args import CorsArgs, EndpointPropertiesArgs, RequestLimitsArgs
from pulumi_inference.workspace import Workspace


class Endpoint(InferenceResource, module="inference", name="Endpoint"):
    """A stable URL with keys in front of deployments.

    Args:
        resource_name: Name in the Pulumi stack.
        workspace: Its workspace or the name of it, 3 to 32 letters, digits and single dashes;
            `default` when left out.
        name: 3 to 32 letters, digits and single dashes; the resource's name when left out. Another
            name makes another endpoint.
        kind: `online` when left out; `batch`, `serverless` where a target serves them.
        auth_mode: `key` when left out; `aml_token`, whose tokens `inferctl token` prints;
            `aad_token`, tokens of the workspace's identity provider.
        keys: `primary` and `secondary` key of yours, 16 to 256 visible ASCII characters; encrypted
            in the state. One that is left out is generated.
        key_rotations: Another number for `primary`, `secondary` or `signing` generates another key.
        identity: A user-assigned identity; a system-assigned one when left out.
        properties: What else Azure ML knows of it, `enforce_access_to_default_secret_stores`.
        public_network_access: `enabled`, or `disabled` to answer `allowed_source_ranges` alone.
        allowed_source_ranges: Addresses that may call it, in CIDR notation; all when left out.
        cors: Which pages of other sites may call it from a browser; none when left out.
        request_limits: How many requests it takes in a minute, and how large they may be.
        alerts: When a person is to hear of it, by a name of yours.
        alert_webhooks: URLs that are told, by the name that `webhook` of an alert has; encrypted in
            the state.
        description: What it is for.
        tags: Words of your own, by name.
        stack: Owner's label; the Pulumi project's name when left out.
        opts: Pulumi's resource options.
    """

    provider_type = EndpointProvider

    workspace: Output[str]
    name: Output[str]
    scoring_uri: Output[str]
    """URL that answers scoring requests."""
    openapi_uri: Output[str]
    """URL of the OpenAPI document."""
    primary_key: Output[str]
    """First key; secret. None of an endpoint that takes tokens."""
    secondary_key: Output[str]
    """Second key; secret. None of an endpoint that takes tokens."""

    def __init__(
        self,
        resource_name: str,
        *,
        workspace: Input[str] | Workspace | None = None,
        name: Input[str] | None = None,
        kind: Input[str] | None = None,
        auth_mode: Input[str] | None = None,
        keys: Input[Mapping[str, Input[str]]] | None = None,
        key_rotations: Input[Mapping[str, Input[int]]] | None = None,
        identity: Input[str] | Identity | None = None,
        public_network_access: Input[str] | None = None,
        properties: Input[EndpointPropertiesArgs] | None = None,
        allowed_source_ranges: Input[Sequence[Input[str]]] | None = None,
        cors: Input[CorsArgs] | None = None,
        request_limits: Input[RequestLimitsArgs] | None = None,
        alerts: Input[Mapping[str, Input[AlertRuleArgs]]] | None = None,
        alert_webhooks: Input[Mapping[str, Input[str]]] | None = None,
        description: Input[str] | None = None,
        tags: Input[Mapping[str, Input[str]]] | None = None,
        stack: Input[str] | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:
        fields = {
            "workspace": workspace,
            "name": name,
            "kind": kind,
            "auth_mode": auth_mode,
            "keys": keys,
            "key_rotations": key_rotations,
            "identity": identity,
            "public_network_access": public_network_access,
            "properties": properties,
            "allowed_source_ranges": allowed_source_ranges,
            "cors": cors,
            "request_limits": request_limits,
            "alerts": alerts,
            "alert_webhooks": alert_webhooks,
            "description": description,
            "tags": tags,
        }
        super().__init__(resource_name, fields, stack, opts)


class Deployment(InferenceResource, module="inference", name="Deployment"):
    """A model on compute behind one endpoint.

    Args:
        resource_name: Name in the Pulumi stack.
        workspace: Its workspace or the name of it, 3 to 32 letters, digits and single dashes;
            `default` when left out.
        endpoint: Its endpoint, or the name of it.
        name: 3 to 32 letters, digits and single dashes; the resource's name when left out. Another
            name makes another deployment.
        kind: `online`, as its endpoint's.
        model: A model, or its `reference`; it lies at `$AZUREML_MODEL_DIR/<its folder's or file's
            name>`.
        environment: An environment, or its `reference`.
        code_configuration: Required unless the environment brings its own server.
        environment_variables: Set in every instance; encrypted in the state. One that is written as
            `${{azureml://connections/NAME/credentials/KEY}}` gets that of a connection.
        instance_type: A name of the target's catalogue.
        instance_count: 0 to 50; 1 when left out.
        nodes_per_instance: On a cluster: nodes that one instance spans, 1 to 64; 1 when left out.
            The first pod, the leader, gets the requests.
        surge: 0 ends old instances before new ones start, where there is no room for both.
        resources: What one instance asks for and may use.
        scheduling: On a cluster: where an instance runs, and as what.
        request_settings: Limits of one request.
        liveness_probe: When an instance counts as dead.
        readiness_probe: When an instance gets requests.
        data_collector: Which inputs and outputs are kept.
        app_insights_enabled: False when left out.
        egress_public_network_access: `enabled` or `disabled`.
        start_timeout_s: Longest wait for a new instance, seconds, 1 to 3600; 120 when left out.
        description: What it is for.
        tags: Words of your own, by name.
        stack: Owner's label; the Pulumi project's name when left out.
        opts: Pulumi's resource options.
    """

    provider_type = DeploymentProvider

    workspace: Output[str]
    endpoint: Output[str]
    name: Output[str]
    generation: Output[str]
    """12 hex digits over all fields whose change needs new processes."""

    def __init__(
        self,
        resource_name: str,
        *,
        endpoint: Input[str] | Endpoint,
        environment: Input[str] | Environment,
        workspace: Input[str] | Workspace | None = None,
        name: Input[str] | None = None,
        kind: Input[str] | None = None,
        model: Input[str] | Model | None = None,
        code_configuration: Input[CodeConfigurationArgs] | None = None,
        environment_variables: Input[Mapping[str, Input[str]]] | None = None,
        instance_type: Input[str] | None = None,
        instance_count: Input[int] | None = None,
        nodes_per_instance: Input[int] | None = None,
        surge: Input[int] | None = None,
        resources: Input[ResourcesArgs] | None = None,
        scheduling: Input[SchedulingArgs] | None = None,
        request_settings: Input[RequestSettingsArgs] | None = None,
        liveness_probe: Input[ProbeArgs] | None = None,
        readiness_probe: Input[ProbeArgs] | None = None,
        data_collector: Input[DataCollectorArgs] | None = None,
        app_insights_enabled: Input[bool] | None = None,
        egress_public_network_access: Input[str] | None = None,
        start_timeout_s: Input[int] | None = None,
        description: Input[str] | None = None,
        tags: Input[Mapping[str, Input[str]]] | None = None,
        stack: Input[str] | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:
        fields = {
            "endpoint": endpoint,
            "environment": environment,
            "workspace": workspace,
            "name": name,
            "kind": kind,
            "model": model,
            "code_configuration": code_configuration,
            "environment_variables": environment_variables,
            "instance_type": instance_type,
            "instance_count": instance_count,
            "nodes_per_instance": nodes_per_instance,
            "surge": surge,
            "resources": resources,
            "scheduling": scheduling,
            "request_settings": request_settings,
            "liveness_probe": liveness_probe,
            "readiness_probe": readiness_probe,
            "data_collector": data_collector,
            "app_insights_enabled": app_insights_enabled,
            "egress_public_network_access": egress_public_network_access,
            "start_timeout_s": start_timeout_s,
            "description": description,
            "tags": tags,
        }
        super().__init__(resource_name, fields, stack, opts)


class Traffic(InferenceResource, module="inference", name="Traffic"):
    """Which deployment answers which share of an endpoint's requests.

    It is created after, and deleted before, the deployments of its endpoint that the program
    declares above it: `traffic` names them in text, from which Pulumi cannot derive an order.

    Args:
        resource_name: Name in the Pulumi stack.
        workspace: Its workspace or the name of it, 3 to 32 letters, digits and single dashes;
            `default` when left out.
        endpoint: The endpoint, or its name.
        traffic: Percent per deployment; sums to 100, or to 0 to serve nobody.
        mirror_traffic: Percent, at most 50, of the requests copied to one deployment.
        rollout: Changes the split step by step, and back when an alarm fires; at once when left
            out.
        stack: Owner's label; the Pulumi project's name when left out.
        opts: Pulumi's resource options.
    """

    provider_type = TrafficProvider

    workspace: Output[str]
    endpoint: Output[str]

    def __init__(
        self,
        resource_name: str,
        *,
        endpoint: Input[str] | Endpoint,
        workspace: Input[str] | Workspace | None = None,
        traffic: Input[Mapping[str, Input[int]]] | None = None,
        mirror_traffic: Input[Mapping[str, Input[int]]] | None = None,
        rollout: Input[RolloutPlanArgs] | None = None,
        stack: Input[str] | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:
        fields = {
            "endpoint": endpoint,
            "workspace": workspace,
            "traffic": traffic,
            "mirror_traffic": mirror_traffic,
            "rollout": rollout,
        }
        super().__init__(resource_name, fields, stack, opts)


class AutoscaleRule(InferenceResource, module="inference", name="AutoscaleRule"):
    """Keeps a deployment's instance count between two limits.

    Args:
        resource_name: Name in the Pulumi stack.
        workspace: Its workspace or the name of it, 3 to 32 letters, digits and single dashes;
            `default` when left out.
        endpoint: The endpoint, or its name.
        deployment: The deployment, or its name.
        min_instances: 0 to 50; 1 when left out.
        max_instances: 1 to 50.
        enabled: False turns the rule off; True when left out.
        targets: Values near which metrics are kept.
        scale_out: How fast they may add instances.
        scale_in: How fast they may remove instances.
        metrics: Changes of the count by metric.
        schedules: Other limits during part of the week.
        stack: Owner's label; the Pulumi project's name when left out.
        opts: Pulumi's resource options.
    """

    provider_type = AutoscaleRuleProvider

    workspace: Output[str]
    endpoint: Output[str]

    def __init__(
        self,
        resource_name: str,
        *,
        endpoint: Input[str] | Endpoint,
        deployment: Input[str] | Deployment,
        max_instances: Input[int],
        workspace: Input[str] | Workspace | None = None,
        min_instances: Input[int] | None = None,
        enabled: Input[bool] | None = None,
        targets: Input[Sequence[Input[TargetRuleArgs]]] | None = None,
        scale_out: Input[ScalingPaceArgs] | None = None,
        scale_in: Input[ScalingPaceArgs] | None = None,
        metrics: Input[Sequence[Input[MetricRuleArgs]]] | None = None,
        schedules: Input[Sequence[Input[ScheduleRuleArgs]]] | None = None,
        stack: Input[str] | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:
        fields = {
            "endpoint": endpoint,
            "deployment": deployment,
            "max_instances": max_instances,
            "workspace": workspace,
            "min_instances": min_instances,
            "enabled": enabled,
            "targets": targets,
            "scale_out": scale_out,
            "scale_in": scale_in,
            "metrics": metrics,
            "schedules": schedules,
        }
        super().__init__(resource_name, fields, stack, opts)
