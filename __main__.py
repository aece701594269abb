"""Declares the stack of the quickstart."""

import pulumi_inference

pulumi_inference.declare("examples/01-quickstart/stack.yaml")
