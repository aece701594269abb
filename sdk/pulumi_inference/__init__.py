"""Inference endpoints as Pulumi resources, and `declare()` for a whole stack file."""

from pulumi_inference.assets import Environment, Model
from pulumi_inference.identity import Identity, RoleAssignment
from pulumi_inference.serving import AutoscaleRule, Deployment, Endpoint, Traffic
from pulumi_inference.stack_file import declare
from pulumi_inference.workspace import Connection, Workspace

__all__ = [
    "AutoscaleRule",
    "Connection",
    "Deployment",
    "Endpoint",
    "Environment",
    "Identity",
    "Model",
    "RoleAssignment",
    "Traffic",
    "Workspace",
    "declare",
]
