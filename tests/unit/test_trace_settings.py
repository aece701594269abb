"""Where a workspace has its spans go: what is taken, and what is refused when planning."""

import json

import pytest
from pydantic import ValidationError
from tests.memory import state_of, with_workspace, write_record
from tests.stacks import stack

from inference_provider.desired import resolve
from inference_provider.gpus import Ledger
from inference_provider.observed import ResourceId
from inference_provider.refusals import refusals
from inference_provider.router.table import RouterTable, Traces
from inference_provider.router.traces import traces_clusters, tracing
from inference_provider.spec import WorkspaceSpec
from inference_provider.spec.traces import TraceSettings
from inference_provider.targets.docker.capabilities import docker_capabilities
from inference_provider.targets.kubernetes.capabilities import kubernetes_capabilities
from inference_provider.targets.local.capabilities import local_capabilities, trace_faults
from inference_provider.targets.memory import MemoryTarget
from inference_provider.targets.service_needs import needs_of, traces_of

URL = "http://127.0.0.1:4318"


def refused(able, **workspace):
    found = refusals(resolve(stack(workspaces=[workspace])), able)
    return [str(one.fault) for one in found]


def table(url, percent=100.0, ca_file=""):
    traces = Traces(url=url, sample_percent=percent, workspace="lab", ca_file=ca_file)
    return RouterTable(folder="/r", host="127.0.0.1", port=1, metrics_port=2, traces=traces)


@pytest.mark.parametrize("percent", [-0.1, 100.1, "many", float("nan")])
def test_a_share_is_of_a_hundred(percent):
    with pytest.raises(ValidationError):
        TraceSettings(otlp_endpoint=URL, sample_percent=percent)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_a_cluster_takes_them_but_to_no_collector_that_only_the_router_s_pod_could_be(host):
    able = kubernetes_capabilities(lambda: None, lambda: None)

    def said(url):
        found = refused(able, target=able.name, traces={"otlp_endpoint": url})
        return [one for one in found if one.startswith("traces")]

    assert said("http://otel.observability:4318") == []
    assert said(f"http://{host}:4318") == [
        f"traces.otlp_endpoint: {host.strip('[]')} is the router's pod itself, where no collector"
        " listens; name a Service of the cluster, such as"
        " http://collector.observability.svc:4318, or an address that pods reach"
    ]


def test_this_machine_and_a_docker_host_take_them():
    traces = {"otlp_endpoint": URL}
    assert refused(local_capabilities(Ledger), traces=traces) == []
    docker = docker_capabilities(lambda _base: Ledger(), lambda _image: "", lambda *_: True)
    assert refused(docker, target="docker", traces=traces) == []


def test_a_collector_that_no_authority_could_vouch_for_is_refused():
    wanted = WorkspaceSpec(traces=TraceSettings(otlp_endpoint="https://otel.example.org"))
    (fault,) = trace_faults(wanted, trusted=lambda: "")
    assert str(fault) == (
        "traces.otlp_endpoint: this machine has no certificates of authorities, so that none could"
        " be checked; install its package ca-certificates, or use a collector of this machine"
    )
    assert list(trace_faults(wanted, trusted=lambda: "/ca.pem")) == []
    plain = WorkspaceSpec(traces=TraceSettings(otlp_endpoint=URL))
    assert list(trace_faults(plain, trusted=lambda: "")) == []


@pytest.mark.parametrize(
    ("recorded", "read"),
    [
        ({"otlp_endpoint": URL}, TraceSettings(otlp_endpoint=URL)),
        ({"otlp_endpoint": URL, "format": "of a newer release"}, None),
        (None, None),
    ],
)
def test_where_spans_go_is_read_from_the_record_and_needs_no_process(recorded, read):
    target = with_workspace(MemoryTarget())
    there = target.record(ResourceId.of_workspace("default"))
    properties = {**there.properties, "traces": recorded}
    write_record(target, there.model_copy(update={"properties": properties}))
    assert traces_of(state_of(target)) == read
    assert not bool(needs_of(state_of(target)))


@pytest.mark.parametrize(
    ("url", "place", "kind", "uri"),
    [
        (URL, ("127.0.0.1", 4318), "STATIC", f"{URL}/v1/traces"),
        ("http://[::1]:4318/", ("::1", 4318), "STATIC", "http://[::1]:4318/v1/traces"),
        ("http://otel", ("otel", 80), "STRICT_DNS", "http://otel/v1/traces"),
        ("https://otel.test/in", ("otel.test", 443), "STRICT_DNS", "https://otel.test/in"),
    ],
)
def test_the_router_sends_where_the_url_says(url, place, kind, uri):
    (found,) = traces_clusters(table(url))
    (host,) = found["load_assignment"]["endpoints"][0]["lb_endpoints"]
    address = host["endpoint"]["address"]["socket_address"]
    assert (address["address"], address["port_value"]) == place
    assert found["type"] == kind
    provider = tracing(table(url))["tracing"]["provider"]["typed_config"]
    assert provider["http_service"]["http_uri"]["uri"] == uri


def test_a_collector_of_https_is_checked_by_its_name():
    (found,) = traces_clusters(table("https://otel.test", ca_file="/ca.pem"))
    context = found["transport_socket"]["typed_config"]
    checks = context["common_tls_context"]["validation_context"]
    assert context["sni"] == "otel.test"
    assert checks["trusted_ca"] == {"filename": "/ca.pem"}
    assert checks["match_typed_subject_alt_names"] == [
        {"san_type": "DNS", "matcher": {"exact": "otel.test"}}
    ]
    assert "transport_socket" not in traces_clusters(table(URL))[0]


def test_a_small_share_is_not_rounded_to_none():
    found = json.dumps(tracing(table(URL, percent=0.01)))
    assert '{"numerator": 100, "denominator": "MILLION"}' in found


def test_without_traces_a_listener_says_nothing_of_them():
    without = table(URL).model_copy(update={"traces": None})
    assert (tracing(without), traces_clusters(without)) == ({}, [])
