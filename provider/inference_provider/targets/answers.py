"""Reasons that several targets give alike for what they cannot do. Pure."""

from collections.abc import Mapping

from inference_provider.capabilities import Answer, Capability

CUTTING = frozenset({"traces", "trusted_hops", "trusted_proxies"})
"""Fields of a workspace that are in the listener of an Envoy; Envoy drains the one from before."""
NO_CONSOLE = "set retention_of: [traffic, events], or leave retention_days out"
ALIKE: Mapping[Capability, Answer] = {
    "app_insights": Answer("there is no Application Insights", "leave it false"),
    "model_types": Answer(
        "there is no server for '{asked}' yet", "use custom_model with a scoring script"
    ),
    "queue_wait": Answer("the wait in the queue is part of request_timeout_ms", "set that alone"),
    "success_thresholds": Answer("one answer makes an instance ready", "leave it at 1"),
}
