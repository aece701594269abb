"""What leads to a router from outside its cluster, and what a scoring URL then is."""

import pytest
from pydantic import ValidationError
from tests.cluster_api import ClusterApi, client_of

from inference_provider.spec import WorkspaceSpec
from inference_provider.targets.kubernetes.classes import KnownNames, unserved
from inference_provider.targets.kubernetes.exposure import Exposure

CLASSES = "/apis/networking.k8s.io/v1/ingressclasses"
ROUTES = "/apis/gateway.networking.k8s.io/v1"
INGRESS = {"host": "score.example.org", "class_name": "nginx", "tls_secret": "score-tls"}
GATEWAY = {"name": "public", "namespace": "edge", "section": "web", "hostnames": ["s.example.org"]}


def space(**router) -> WorkspaceSpec:
    return WorkspaceSpec.model_validate({"name": "demo", "cluster": {"router": router}})


def exposed(**router) -> Exposure:
    asked = space(**router).cluster.router
    return Exposure(ingress=asked.ingress, gateway=asked.gateway)


def faults(api, **router):
    client = client_of(api)
    return [str(one) for one in unserved(KnownNames(lambda: client), space(**router))]


@pytest.mark.parametrize(
    ("router", "url"),
    [
        ({}, ""),
        ({"ingress": INGRESS}, "https://score.example.org"),
        ({"ingress": {"host": "score.example.org"}}, "http://score.example.org"),
        ({"ingress": {"host": "s.example.org", "scheme": "https"}}, "https://s.example.org"),
        ({"ingress": {**INGRESS, "scheme": "http"}}, "http://score.example.org"),
        ({"gateway": GATEWAY}, "https://s.example.org"),
        ({"gateway": {**GATEWAY, "scheme": "http"}}, "http://s.example.org"),
    ],
)
def test_the_url_is_the_public_one(router, url):
    assert exposed(**router).url == url


def test_an_ingress_leads_to_the_routers_service():
    [made] = exposed(ingress={**INGRESS, "annotations": {"a.b/c": "d"}}).objects("demo", "lab", 80)
    assert made["metadata"]["annotations"] == {"a.b/c": "d"}
    assert made["spec"] == {
        "ingressClassName": "nginx",
        "rules": [
            {
                "host": "score.example.org",
                "http": {
                    "paths": [
                        {
                            "path": "/",
                            "pathType": "Prefix",
                            "backend": {
                                "service": {"name": "inference-router", "port": {"number": 80}}
                            },
                        }
                    ]
                },
            }
        ],
        "tls": [{"hosts": ["score.example.org"], "secretName": "score-tls"}],
    }


def test_a_route_hangs_on_the_gateway_that_is_named():
    [made] = exposed(gateway=GATEWAY).objects("demo", "lab", 8080)
    assert made["kind"] == "HTTPRoute"
    [parent] = made["spec"]["parentRefs"]
    assert (parent["name"], parent["namespace"], parent["sectionName"]) == ("public", "edge", "web")
    assert made["spec"]["hostnames"] == ["s.example.org"]
    [rule] = made["spec"]["rules"]
    assert rule["backendRefs"][0]["name"] == "inference-router"
    assert rule["backendRefs"][0]["port"] == 8080


def test_what_a_cluster_does_not_have_is_refused_with_what_it_has():
    api = ClusterApi()
    api.put(f"{CLASSES}/traefik", {"kind": "IngressClass", "metadata": {"name": "traefik"}})
    assert faults(api) == []
    assert faults(api, ingress={**INGRESS, "class_name": "traefik"}) == []
    assert faults(api, ingress=INGRESS) == [
        "cluster.router.ingress.class_name: the cluster has no IngressClass 'nginx'; leave it out,"
        " or use one of: traefik"
    ]
    assert faults(api, gateway=GATEWAY) == [
        "cluster.router.gateway: the cluster does not serve gateway.networking.k8s.io/v1; install a"
        " Gateway controller, or use ingress or service: LoadBalancer"
    ]
    api.objects[ROUTES] = {"kind": "APIResourceList", "resources": [{"name": "httproutes"}]}
    assert faults(api, gateway=GATEWAY) == []


def test_two_ways_in_are_refused():
    with pytest.raises(ValidationError, match="both lead to the router; leave one of them out"):
        space(ingress=INGRESS, gateway=GATEWAY)
