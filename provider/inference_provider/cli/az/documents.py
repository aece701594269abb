"""What is observed -> the documents that `az ml` prints of it, in its words. Pure.

What Azure Resource Manager alone knows (location, resource group, subscription) is left out. An
`id` is the address that Pulumi and `inferctl drift` know the resource by.
"""

from collections.abc import Mapping
from typing import Any

from inference_provider.observed import ObservedResource, ResourceId
from inference_provider.secret_text import masked
from inference_provider.spec.reference import Reference

_SUCCEEDED, _UPDATING, _FAILED = "Succeeded", "Updating", "Failed"
_PROBES = ("liveness_probe", "readiness_probe")
_OF_DEPLOYMENT = (
    "app_insights_enabled", "data_collector", "description", "egress_public_network_access",
    "environment_variables", "instance_type", *_PROBES, "tags",
)  # fmt: skip
_SETTINGS = ("max_concurrent_requests_per_instance", "max_queue_wait_ms", "request_timeout_ms")


def provisioning_state(there: ObservedResource) -> str:
    """Return Azure's word for how a resource stands now."""
    if there.degraded:
        return _FAILED
    return _UPDATING if there.unready or there.under_way else _SUCCEEDED


def endpoint_document(
    endpoint: ObservedResource, traffic: ObservedResource | None, openapi_uri: str | None
) -> dict[str, Any]:
    """Return an online endpoint.

    Args:
        endpoint: As it is observed.
        traffic: Its split; None where it has none.
        openapi_uri: Where its OpenAPI document answers; None where none does.
    """
    said = endpoint.properties
    split = traffic.properties if traffic else {}
    identity = said.get("identity")
    states = [provisioning_state(one) for one in (endpoint, traffic) if one]
    return {
        "auth_mode": said.get("auth_mode"),
        "description": said.get("description", ""),
        "id": endpoint.id.address,
        "identity": {
            "principal_id": identity or f"endpoints/{endpoint.id.name}",
            "type": "user_assigned" if identity else "system_assigned",
        },
        "kind": "Managed",
        "mirror_traffic": dict(split.get("mirror_traffic", {})),
        "name": endpoint.id.name,
        "openapi_uri": openapi_uri,
        "properties": {"azureml.onlineendpointid": endpoint.id.address},
        "provisioning_state": next((one for one in states if one != _SUCCEEDED), _SUCCEEDED),
        "public_network_access": said.get("public_network_access"),
        "scoring_uri": endpoint.outputs.get("scoring_uri"),
        "tags": dict(said.get("tags", {})),
        "traffic": dict(split.get("traffic", {})),
    }


def deployment_document(there: ObservedResource) -> dict[str, Any]:
    """Return an online deployment; values of its variables are secrets, and hidden."""
    said = masked(there.properties)
    recorded = there.record.properties if there.record else said
    endpoint, _, name = there.id.name.partition("/")
    return {
        **{field: said.get(field) for field in _OF_DEPLOYMENT},
        "code_configuration": _code(said.get("code_configuration")),
        "endpoint_name": endpoint,
        "environment": named(said.get("environment")),
        "id": there.id.address,
        "instance_count": recorded.get("instance_count"),
        "model": named(said.get("model")),
        "name": name,
        "properties": {},
        "provisioning_state": provisioning_state(there),
        "request_settings": {name: said["request_settings"].get(name) for name in _SETTINGS},
        "resources": _amounts(said.get("resources") or {}),
        "scale_settings": {"type": "default"},
        "type": "managed",
    }


def _code(code: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if code is None:
        return None
    return {
        "code": f"sha256:{code.get('content_hash', '')}",
        "scoring_script": code.get("scoring_script"),
    }


def _amounts(resources: Mapping[str, Any]) -> dict[str, Any]:
    keys = {"gpu": "nvidia.com/gpu"}
    return {
        which: {
            keys.get(key, key): str(amount)
            for key, amount in (resources.get(which) or {}).items()
            if amount is not None
        }
        for which in ("limits", "requests")
    }


def named(pinned: str | None) -> str | None:
    """Return how Azure ML YAML names an asset: `azureml:NAME:VERSION`."""
    return f"azureml:{Reference.parse(pinned).asset}" if pinned else None


def asset_document(there: ObservedResource) -> dict[str, Any]:
    """Return a model or an environment."""
    said = masked(there.properties)
    left_out = ("workspace", "content_hash", "stack_file")
    return {
        **{field: value for field, value in said.items() if field not in left_out},
        "id": there.id.address,
        "properties": {"azureml.contenthash": said.get("content_hash", "")},
        "provisioning_state": provisioning_state(there),
    }


def keys_document(keys: Mapping[str, str]) -> dict[str, str]:
    """Return both keys of an endpoint, in clear text."""
    return {"primaryKey": keys["primary_key"], "secondaryKey": keys["secondary_key"]}


def traffic_of(endpoint: ResourceId, found: Mapping[str, ObservedResource]) -> Any:
    """Return the split of an endpoint among observed resources; None where it has none."""
    return found.get(endpoint.address.replace("Endpoint/", "Traffic/", 1))
