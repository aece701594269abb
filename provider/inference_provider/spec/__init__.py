"""What is asked: one module a kind, and the rules between them."""

from inference_provider.spec.autoscale_rule import AutoscaleRuleSpec
from inference_provider.spec.base import ChangeClass, FieldRole, Severity, SpecModel
from inference_provider.spec.connection import ConnectionSpec
from inference_provider.spec.deployment import AnyDeployment, BatchDeploymentSpec, DeploymentSpec
from inference_provider.spec.endpoint import (
    AnyEndpoint,
    BatchEndpointSpec,
    EndpointSpec,
    ServerlessEndpointSpec,
)
from inference_provider.spec.environment import EnvironmentSpec
from inference_provider.spec.identity import IdentitySpec, RoleAssignmentSpec
from inference_provider.spec.model import ModelSpec
from inference_provider.spec.reference import Reference
from inference_provider.spec.stack import StackSpec, stack_faults
from inference_provider.spec.traffic import TrafficSpec
from inference_provider.spec.workspace import WorkspaceSpec

__all__ = [
    "AnyDeployment",
    "AnyEndpoint",
    "AutoscaleRuleSpec",
    "BatchDeploymentSpec",
    "BatchEndpointSpec",
    "ChangeClass",
    "ConnectionSpec",
    "DeploymentSpec",
    "EndpointSpec",
    "EnvironmentSpec",
    "FieldRole",
    "IdentitySpec",
    "ModelSpec",
    "Reference",
    "RoleAssignmentSpec",
    "ServerlessEndpointSpec",
    "Severity",
    "SpecModel",
    "StackSpec",
    "TrafficSpec",
    "WorkspaceSpec",
    "stack_faults",
]
