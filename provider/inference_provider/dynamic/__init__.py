"""Pulumi's edge: one dynamic provider per kind, each on top of the handlers."""
