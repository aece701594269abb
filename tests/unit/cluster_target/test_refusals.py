"""What a cluster refuses when planning."""

from dataclasses import replace

import pytest
from pydantic import ValidationError
from tests.cluster_api import client_of
from tests.unit.cluster_target.stack import ANN, desired, up

from inference_provider.errors import CapabilityMissing
from inference_provider.gpu_wishes import gpu_refusals
from inference_provider.observed import Kind
from inference_provider.refusals import refusals
from inference_provider.spec import WorkspaceSpec
from inference_provider.spec.target import place_from
from inference_provider.targets.kubernetes.capabilities import kubernetes_capabilities
from inference_provider.targets.kubernetes.target import KubernetesPlatform

TAKEN = "target: namespace 'lab' has workspace 'demo'; name another namespace"
UNNAMED = (
    "target: no context is named, and workspace 'other' is not where the current one leads, which"
    " any command may change; name it, {kind: kubernetes, context: …}; the kubeconfig has lab, prod"
)


def test_a_workspace_is_not_made_wherever_the_current_context_leads(api, platform, engine):
    up(engine)
    client = client_of(api)
    known = replace(client.access, contexts=("lab", "prod"))
    for place, workspace, told in (
        ({"namespace": "lab"}, "demo", []),  # it is there
        ({"namespace": "lab", "context": "lab"}, "other", [TAKEN]),
        ({"namespace": "new", "context": "lab"}, "other", []),
        ({"namespace": "else"}, "other", [UNNAMED]),
    ):
        again = KubernetesPlatform(place_from({"kind": "kubernetes", **place}))
        client = again.__dict__["client"] = client_of(api)
        client.access = known
        spec = WorkspaceSpec(name=workspace, target="kubernetes", runtime_image="router:1")
        assert [str(one) for one in again.capabilities.workspace_faults(spec)] == told
        again.close()


def test_what_a_cluster_cannot_do_is_refused_in_its_own_words():
    faults = desired(runtime_image=None, bind_address="0.0.0.0")
    can = kubernetes_capabilities(lambda: None, lambda: None)
    said = [str(one.fault) for one in refusals(faults.values(), can)]
    assert said == [
        "runtime_image: a cluster needs the image of the router's pods; set registry, and it is"
        " built and pushed there; or make and push it with `inferctl image build --push"
        " registry.example.org/team/router:1`, from a stack on target docker, and write what that"
        " prints; or load it: `kind load docker-image`",
        "bind_address: has no meaning on a cluster: the router is a Service there; leave it out",
    ]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        pytest.param({}, [], id="inside the cluster"),
        pytest.param({"router": {"service": "LoadBalancer"}, "tls": True}, [], id="with TLS"),
        pytest.param({"router": {"service": "NodePort"}, "allow_plain_http": True}, [], id="told"),
        pytest.param(
            {"router": {"service": "LoadBalancer"}},
            [
                "cluster.router.service: keys and tokens would leave the cluster unencrypted by a"
                " LoadBalancer; add tls: {generate: true, names: [...]}, or set allow_plain_http:"
                " true"
            ],
            id="open",
        ),
        pytest.param(
            {"router": {"ingress": {"host": "a.example.org"}}, "tls": True},
            [
                "tls: the ingress in front of the router ends TLS, and speaks HTTP to its pods;"
                " leave it out, and give the certificate to that"
            ],
            id="TLS twice",
        ),
    ],
)
def test_keys_leave_a_cluster_unencrypted_only_where_that_is_said(fields, told):
    spec = WorkspaceSpec(
        name="demo",
        target="kubernetes",
        runtime_image="router:1",
        cluster={"router": fields.get("router", {})},
        tls={"generate": True} if fields.get("tls") else None,
        allow_plain_http=fields.get("allow_plain_http", False),
    )
    can = kubernetes_capabilities(lambda: None, lambda: None)
    assert [str(one) for one in can.workspace_faults(spec)] == told


RANGES = {"allowed_source_ranges": ["10.0.0.0/8"]}
INSTEAD = (
    "set trusted_hops of the workspace, and trusted_proxies to the addresses of the ingress's pods"
)
HIDDEN = "the router sees the address of the ingress in front of it, not that of who calls"
BY_INGRESS = f"{HIDDEN}; leave them out, and have the ingress refuse callers; or {INSTEAD}"
BY_NODE_PORT = (
    "a NodePort shows the router who calls only if the workspace has allowed_source_ranges; give"
    " the workspace some; [0.0.0.0/0] is all of IPv4"
)


@pytest.mark.parametrize(
    ("router", "of_workspace", "told"),
    [
        pytest.param({}, {}, [], id="inside the cluster"),
        pytest.param({"service": "NodePort"}, RANGES, [], id="by nodes that say who calls"),
        pytest.param({"service": "LoadBalancer"}, RANGES, [], id="by a load balancer"),
        pytest.param(
            {"ingress": {"host": "a.example.org"}},
            RANGES | {"trusted_hops": 1, "trusted_proxies": ["10.244.0.0/16"]},
            [],
            id="an Ingress that says for whom it calls",
        ),
        pytest.param(
            {"service": "NodePort"}, {}, [f"Endpoint {BY_NODE_PORT}"], id="by nodes that do not"
        ),
        pytest.param(
            {"ingress": {"host": "a.example.org"}}, {}, [f"Endpoint {BY_INGRESS}"], id="an Ingress"
        ),
        pytest.param(
            {"gateway": {"name": "edge", "hostnames": ["a.example.org"]}},
            RANGES,
            [
                f"{kind} {BY_INGRESS.replace('ingress', 'gateway')}"
                for kind in ("Workspace", "Endpoint")
            ],
            id="a Gateway",
        ),
    ],
)
def test_ranges_of_callers_are_refused_where_a_router_does_not_see_who_calls(
    router, of_workspace, told
):
    space = {"cluster": {"router": router}, "allow_plain_http": True, **of_workspace}
    wanted = desired(**space)
    iris = wanted[Kind.ENDPOINT]
    ranged = iris.spec.model_copy(update={"allowed_source_ranges": ("10.1.0.0/16",)})
    wanted[Kind.ENDPOINT] = iris.model_copy(update={"spec": ranged})
    can = kubernetes_capabilities(lambda: None, lambda: None)
    said = [
        f"{one.place.partition(' ')[0]} {one.fault.reason}; {one.fault.remedy}"
        for one in refusals(wanted.values(), can)
        if one.fault.path == "allowed_source_ranges"
    ]
    assert said == told
    alone = [str(one.fault) for one in refusals([wanted[Kind.ENDPOINT]], can)]
    assert alone == []  # of its workspace nothing is known


def test_what_is_recorded_keeps_ranges_from_being_made_void(platform, engine):
    up(engine)
    wanted = desired()
    space, iris = wanted[Kind.WORKSPACE], wanted[Kind.ENDPOINT]
    ranged = iris.spec.model_copy(update={"allowed_source_ranges": ("10.1.0.0/16",)})
    ranged = iris.model_copy(update={"spec": ranged})
    engine.apply(ranged, ANN)
    behind = desired(cluster={"router": {"ingress": {"host": "a.example.org"}}})[Kind.WORKSPACE]
    assert [str(one.fault) for one in refusals([behind], platform.capabilities)] == [
        f"cluster.router.ingress: endpoint 'iris' has allowed_source_ranges, and {HIDDEN}; take"
        f" those away first, or {INSTEAD}"
    ]
    engine.apply(iris, ANN)
    engine.apply(behind, ANN)
    with pytest.raises(CapabilityMissing, match="allowed_source_ranges: the router sees the addr"):
        engine.apply(ranged, ANN)
    engine.apply(space, ANN)
    engine.apply(ranged, ANN)


def test_who_may_not_see_nodes_is_refused_no_gpus():
    blue = desired()[Kind.DEPLOYMENT]
    asks = blue.spec.model_copy(
        update={"resources": blue.spec.resources.model_validate({"limits": {"gpu": 2}})}
    )
    wanted = [blue.model_copy(update={"spec": asks})]
    assert gpu_refusals(wanted, kubernetes_capabilities(lambda: None, lambda: None)) == ()
    [refused] = gpu_refusals(wanted, kubernetes_capabilities(list, list))
    assert str(refused) == (
        "Deployment 'demo/iris/blue' on target 'kubernetes': resources.limits.gpu: an instance asks"
        " for 2 nvidia.com/gpu, and no node has any (the cluster has no GPU); ask for what there"
        " is, or add a node"
    )


@pytest.mark.parametrize(
    ("name", "place", "told"),
    [
        ("demo", {}, []),
        ("Demo", {"namespace": "team-a"}, []),
        (
            "Demo",
            {},
            [
                "name: 'Demo' would be a namespace, and those have small letters; write 'demo', or"
                " {kind: kubernetes, namespace: …} as its target"
            ],
        ),
        (
            "kube-system",
            {},
            [
                "name: namespace 'kube-system' has a name that Kubernetes keeps for itself; use"
                " another name"
            ],
        ),
        (
            "demo",
            {"namespace": "kube-public"},
            [
                "target: namespace 'kube-public' has a name that Kubernetes keeps for itself; use"
                " another name"
            ],
        ),
    ],
)
def test_a_workspace_that_can_have_no_namespace_is_refused(api, name, place, told):
    platform = KubernetesPlatform(place_from({"kind": "kubernetes", **place}))
    platform.__dict__["client"] = client_of(api)
    spec = WorkspaceSpec(name=name, target="kubernetes", runtime_image="router:1")
    assert [str(one) for one in platform.capabilities.workspace_faults(spec)] == told
    platform.close()


@pytest.mark.parametrize("name", ["../default", "Team A", "a/b", "-x", "", "a" * 64])
def test_a_namespace_of_another_form_is_refused_before_anything_is_asked(name):
    with pytest.raises(ValidationError):
        place_from({"kind": "kubernetes", "namespace": name})
