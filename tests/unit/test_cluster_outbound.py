"""What of a cluster lets instances of a closed workspace out: a Service, and two policies."""

from inference_provider.targets.kubernetes.router_manifests import RouterSettings, router_objects
from inference_provider.targets.kubernetes.workspace_manifests import policies


def objects(**values):
    return router_objects("lab", "lab", RouterSettings(image="a", **values))


def named(found, kind, name):
    return [o["spec"] for o in found if (o["kind"], o["metadata"]["name"]) == (kind, name)]


def test_an_open_workspace_has_no_forward_proxy():
    assert named(objects(), "Service", "inference-egress") == []
    [policy] = named(objects(), "NetworkPolicy", "inference-router")
    assert [one.get("from") for one in policy["ingress"]] == [None]


def test_instances_without_a_way_out_alone_reach_the_forward_proxy():
    found = objects(forward_proxy=True, service="LoadBalancer")
    [service] = named(found, "Service", "inference-egress")
    assert (service["type"], service["ports"][0]["port"]) == ("ClusterIP", 3128)
    [policy] = named(found, "NetworkPolicy", "inference-router")
    everybody, instances = policy["ingress"]
    assert 3128 not in {port["port"] for port in everybody["ports"]}
    [chosen] = instances["from"]
    labels = chosen["podSelector"]["matchLabels"]
    assert labels["pulumi-inference/role"] == "instance"
    assert labels["pulumi-inference/egress"] == "closed"
    assert instances["ports"] == [{"port": 3128, "protocol": "TCP"}]


def test_a_way_to_the_forward_proxy_is_there_with_a_rule_alone():
    ports = {
        lists: [
            [port["port"] for port in one["ports"]]
            for one in named(
                policies("lab", "lab", lists=lists), "NetworkPolicy", "inference-closed"
            )[0]["egress"]
        ]
        for lists in (False, True)
    }
    assert ports == {False: [[8080]], True: [[8080], [3128]]}
