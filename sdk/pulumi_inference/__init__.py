"""Inference endpoints as Pulumi resources, and `declare()` for a whole stack file."""

from pulumi_inference.assets import Environment, Model
from pulumi_inference.declaring import declare
from pulumi_inference.places import Connection, Identity, RoleAssignment, Workspace
from pulumi_inference.serving import AutoscaleRule, Deployment, Endpoint, Traffic

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
