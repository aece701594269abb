"""`show` and `list`, and what a change prints of what it has made."""

from typing import Any

from inference_provider.cli.az.documents import (
    asset_document,
    deployment_document,
    endpoint_document,
)
from inference_provider.cli.az.site import Site
from inference_provider.observed import Kind, ObservedResource, ResourceId


def show_endpoint(site: Site) -> Any:
    return _endpoint(site, site.endpoint("--name"))


def list_endpoints(site: Site) -> Any:
    there = sorted(site.resources.values(), key=lambda one: one.id.name)
    endpoints = (one for one in there if one.id.kind == Kind.ENDPOINT)
    online = (one for one in endpoints if one.properties.get("kind", "online") == "online")
    return [_endpoint(site, one) for one in online]


def show_deployment(site: Site) -> Any:
    return deployment_document(site.deployment())


def list_deployments(site: Site) -> Any:
    endpoint = site.endpoint("--endpoint-name").id
    found = sorted(site.behind(endpoint), key=lambda one: one.id.name)
    return [deployment_document(one) for one in found]


def made(site: Site, id_: ResourceId) -> Any:
    """Return the document of what a command has just made or changed."""
    after = Site(site.session, site.asked, site.workspace)
    there = after.find(id_.kind, id_.name)
    if id_.kind == Kind.ENDPOINT:
        return _endpoint(after, there)
    return deployment_document(there) if id_.kind == Kind.DEPLOYMENT else asset_document(there)


def _endpoint(site: Site, endpoint: ObservedResource) -> dict[str, Any]:
    query = site.asked.query
    uri = None
    # to ask is a request that its deployments answer: only where the answer is printed
    if site.asked.verb == "show" and (query is None or "openapi" in query):
        from inference_provider.cli.az.calls import served_openapi  # noqa: PLC0415 - httpx is slow

        uri = served_openapi(site, endpoint)
    return endpoint_document(endpoint, site.traffic(endpoint.id), uri)
