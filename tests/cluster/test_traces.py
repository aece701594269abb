"""Spans of the router of a real cluster, at a collector that its pods reach by a Service's name."""

import os
from urllib.parse import urlsplit

import pytest

from tests.cluster.collectors import collecting
from tests.cluster.loaded import loaded
from tests.cluster.places import LINK_HERE
from tests.cluster.test_outbound import LOOK, last_look, rule, sees
from tests.cluster.test_replaced_image import pods
from tests.collector import named
from tests.conformance.labs import SERVER, KubernetesLab, wait_until
from tests.docker.load import Load

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]


def status(lab) -> str:
    return lab.target.observe_one(lab.space().id).status


def test_a_collector_gets_a_span_of_each_request_as_long_as_it_is_declared(api):
    with loaded("spans") as lab, collecting(api, lab.workspace) as away:
        before = pods(lab, "router")
        with Load(lab, 200, limit_s=200) as load:
            lab.apply(lab.space(traces={"otlp_endpoint": away.url}))
            wait_until(lambda: f"spans are dropped: nothing listens at {away.url}" in status(lab))
            collector = away.comes()
            wait_until(lambda: len(collector.spans) > 50, 60)
            wait_until(lambda: f"spans go to {away.url}" in status(lab), 30)
            lab.apply(lab.space())
            wait_until(lambda: "spans" not in status(lab), 30)
        assert {*load.answers} == {200}
        assert pods(lab, "router") == before
    found = named(collector.spans[-1].attributes)
    assert (found["azureml.endpoint"], found["azureml.deployment"]) == ("iris", "blue")
    assert collector.resources[-1]["service.instance.id"] == lab.workspace


def test_instances_without_a_way_out_do_not_get_to_the_collector_of_their_router(
    api, tmp_path, monkeypatch
):
    closed = {"egress": "disabled", "cluster": {"network_policies": "enforced"}}
    with collecting(api, "default") as away:
        collector, port = away.comes(), urlsplit(away.address).port
        look = LOOK.replace("NAME:443", urlsplit(away.url).netloc)
        look = look.replace('"ADDRESS", 443', f'"{LINK_HERE}", {port}')
        look = look.replace("ADDRESS:443", f"{LINK_HERE}:{port}")
        server = tmp_path / "looks.py"
        server.write_text(look + SERVER.read_text())
        monkeypatch.setattr(KubernetesLab, "server", server)
        lab = KubernetesLab(KubernetesLab.open(tmp_path), tmp_path, f"shut{os.getpid()}")
        try:
            lab.up()
            traces = {"otlp_endpoint": away.url}
            lab.apply(lab.space(**closed, outbound_rules=rule(), traces=traces))
            wait_until(lambda: last_look(lab)[1], 60)
            sees(lab, last_look(lab)[0], "403 403 403 403 shut")
            assert lab.ask() == 200
            wait_until(lambda: collector.spans, 30)
        finally:
            lab.close()
            lab.platform.close()
