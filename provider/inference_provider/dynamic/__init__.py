"""Pulumi's edge: one provider of dynamic resources a kind, each over the handlers."""
