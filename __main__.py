"""Declares the stack of the quickstart, and exports its scoring addresses."""

import pulumi

import pulumi_inference

declared = pulumi_inference.declare("examples/01-quickstart/stack.yaml")
for name, endpoint in declared.endpoints.items():
    pulumi.export(name, endpoint.scoring_uri)
