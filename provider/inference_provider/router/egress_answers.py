"""What the forward proxy says when it lets a request nowhere, and what it logs of each. Pure."""

from inference_provider.router.access_log import json_log
from inference_provider.router.resource import API, Resource

NOT_LISTED = "this name and port are in no outbound rule of the workspace"
_CONDITION = f"{API}extensions.access_loggers.filters.cel.v3.ExpressionFilter"
_REASONS = {
    "response.code_details == 'rbac_access_denied_matched_policy[private]'": (
        "the name stands for a private address; `allow_private_addresses: true` of its rule lets"
        " that through"
    ),
    "response.code_details == 'rbac_access_denied_matched_policy[never]'": (
        "the name stands for an address that no rule lets through: of loopback, of a cloud's"
        " metadata, or of many at once"
    ),
    "response.code_details == 'no_healthy_upstream'": (
        "no address is known for the name: the router's name server has none, or does not answer"
    ),
    "response.code_details == 'sub_cluster_warming_timeout'": (
        "the router's name server did not answer in time"
    ),
    "response.code_details == 'sub_cluster_overflow'": (
        "too many names were asked for lately; try again in two minutes"
    ),
    "response.code_details.startsWith('upstream_reset_before_response_started')": (
        "an address of the name was found, and cannot be connected to, or ended the connection"
    ),
}
"""What is said, by the condition on which it is; the first that holds counts."""
# as of callers, no value makes a line long
_FIELDS = {
    "ts": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
    "instance": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
    "method": "%REQ(:METHOD):16%",
    "outbound": "%REQ(:AUTHORITY):256%",
    "status": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "bytes_in": "%BYTES_RECEIVED%",
    "bytes_out": "%BYTES_SENT%",
    "ms": "%DURATION%",
    "upstream": "%UPSTREAM_HOST%",
}


def egress_answers() -> Resource:
    """Return the sentences for requests that get nowhere; any other keeps its own."""
    return {
        "mappers": [
            {"filter": _where(condition), "body": {"inline_string": f"{reason}\n"}}
            for condition, reason in _REASONS.items()
        ]
    }


def egress_log(folder: str) -> Resource:
    """Return the log of each request and tunnel: lines of the file that callers' requests have.

    No line has an endpoint: by that they are told apart.
    """
    return json_log(folder, _FIELDS)


def _where(condition: str) -> Resource:
    typed = {"@type": _CONDITION, "expression": condition}
    return {"extension_filter": {"name": "cel", "typed_config": typed}}
