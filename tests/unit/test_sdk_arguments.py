"""What a program can write is what a spec has: no field is forgotten in the SDK."""

import inspect

import pytest
from pydantic import BaseModel

import pulumi_inference
from inference_provider.spec import deployment, environment, resources, secret_store
from inference_provider.spec.alert import AlertRule
from inference_provider.spec.autoscale_rule import (
    MetricRule,
    ScalingPace,
    ScheduleRule,
    TargetRule,
)
from inference_provider.spec.cluster import (
    ClusterGateway,
    ClusterIngress,
    ClusterLimits,
    ClusterRouter,
    ClusterServiceAccount,
    ClusterSettings,
    ClusterStorage,
)
from inference_provider.spec.cors import CorsSettings
from inference_provider.spec.endpoint import EndpointProperties
from inference_provider.spec.identity_provider import IdentityProvider
from inference_provider.spec.instance_type import InstanceType
from inference_provider.spec.kinds import ROWS
from inference_provider.spec.logs import LogSettings
from inference_provider.spec.metrics import MetricsSettings
from inference_provider.spec.outbound import OutboundRule
from inference_provider.spec.request_limits import RequestLimits
from inference_provider.spec.roles import CustomRole
from inference_provider.spec.rollout_plan import RolloutAlarm, RolloutPlan, RolloutStep
from inference_provider.spec.scheduling import Scheduling, Toleration
from inference_provider.spec.service import ServiceSettings
from inference_provider.spec.target import DockerPlace, KubernetesPlace, LocalPlace
from inference_provider.spec.tls import TlsSettings
from inference_provider.spec.traces import TraceSettings
from inference_provider.spec.workspace import Quota
from pulumi_inference import alert_args, args, rollout_args, security_args, telemetry_args

NOT_OF_A_SPEC = {"self", "resource_name", "stack", "opts"}
COMPUTED = {"content_hash", "jwks"}
NESTED: dict[type, type[BaseModel]] = {
    args.LocalPlaceArgs: LocalPlace,
    args.DockerPlaceArgs: DockerPlace,
    args.KubernetesPlaceArgs: KubernetesPlace,
    telemetry_args.LogsArgs: LogSettings,
    telemetry_args.TracesArgs: TraceSettings,
    telemetry_args.MetricsArgs: MetricsSettings,
    args.ServiceArgs: ServiceSettings,
    args.QuotaArgs: Quota,
    security_args.CustomRoleArgs: CustomRole,
    security_args.EndpointPropertiesArgs: EndpointProperties,
    args.ClusterStorageArgs: ClusterStorage,
    args.ClusterRouterArgs: ClusterRouter,
    args.ClusterIngressArgs: ClusterIngress,
    args.ClusterGatewayArgs: ClusterGateway,
    args.ClusterLimitsArgs: ClusterLimits,
    args.ClusterServiceAccountArgs: ClusterServiceAccount,
    args.ClusterSettingsArgs: ClusterSettings,
    security_args.IdentityProviderArgs: IdentityProvider,
    args.InstanceTypeArgs: InstanceType,
    args.CodeConfigurationArgs: deployment.CodeConfiguration,
    security_args.CorsArgs: CorsSettings,
    security_args.TlsArgs: TlsSettings,
    security_args.EncryptedFileStoreArgs: secret_store.EncryptedFileStore,
    security_args.EnvironmentStoreArgs: secret_store.EnvironmentStore,
    security_args.VaultStoreArgs: secret_store.VaultStore,
    security_args.AzureKeyVaultStoreArgs: secret_store.AzureKeyVaultStore,
    security_args.OutboundRuleArgs: OutboundRule,
    security_args.RequestLimitsArgs: RequestLimits,
    args.RequestSettingsArgs: deployment.RequestSettings,
    args.ProbeArgs: deployment.Probe,
    args.ResourceAmountsArgs: resources.ResourceAmounts,
    args.UlimitArgs: resources.Ulimit,
    args.ResourcesArgs: resources.Resources,
    args.SchedulingArgs: Scheduling,
    args.TolerationArgs: Toleration,
    args.CollectionArgs: deployment.CollectionSpec,
    args.DataCollectorArgs: deployment.DataCollector,
    args.BuildContextArgs: environment.BuildContext,
    args.RouteArgs: environment.Route,
    args.InferenceConfigArgs: environment.InferenceConfig,
    args.TargetRuleArgs: TargetRule,
    args.ScalingPaceArgs: ScalingPace,
    args.MetricRuleArgs: MetricRule,
    args.ScheduleRuleArgs: ScheduleRule,
    alert_args.AlertRuleArgs: AlertRule,
    rollout_args.RolloutPlanArgs: RolloutPlan,
    rollout_args.RolloutStepArgs: RolloutStep,
    rollout_args.RolloutAlarmArgs: RolloutAlarm,
}


@pytest.mark.parametrize("kind", ROWS, ids=lambda kind: kind.value)
def test_a_resource_takes_every_field_of_its_spec_and_no_other(kind):
    resource = getattr(pulumi_inference, kind.value)
    taken = set(inspect.signature(resource.__init__).parameters) - NOT_OF_A_SPEC
    assert taken == set(ROWS[kind].model.model_fields) - COMPUTED


@pytest.mark.parametrize("kind", ROWS, ids=lambda kind: kind.value)
def test_a_resource_has_every_output_of_its_kind(kind):
    resource = getattr(pulumi_inference, kind.value)
    assert ROWS[kind].output_names <= set(inspect.get_annotations(resource))


@pytest.mark.parametrize("typed", NESTED, ids=lambda typed: typed.__name__)
def test_typed_arguments_have_every_field_of_their_model_and_no_other(typed):
    assert set(typed.__annotations__) == set(NESTED[typed].model_fields) - COMPUTED


def test_every_typed_argument_is_compared_with_a_model():
    every = (
        vars(alert_args)
        | vars(args)
        | vars(rollout_args)
        | vars(security_args)
        | vars(telemetry_args)
    )
    declared = {item for name, item in every.items() if name.endswith("Args")}
    assert declared == set(NESTED)
