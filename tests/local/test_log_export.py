"""Logs of a real workspace, sent to a real collector."""

import json
import os
import signal
from collections import Counter

import pytest

from inference_provider.drift import drift
from inference_provider.targets.local.service_process import SERVICE
from tests.collector import collecting, named
from tests.local.conftest import Lab, Load
from tests.local.server.model import until
from tests.ports import own_port

pytestmark = pytest.mark.local
CALLS = "AmlOnlineEndpointTrafficLog"


def test_no_call_is_lost_over_a_collector_that_is_away_and_a_service_that_is_killed(lab: Lab):
    port = own_port()
    url = f"http://127.0.0.1:{port}"
    lab.document["workspaces"][0]["logs"] = {"otlp_endpoint": url}
    lab.up()

    def status() -> str:
        return " ".join(lab.said("status")[1].split())

    def clean() -> bool:
        found = drift(lab.resources(), lab.target.observe(["lab"]), "lab").resources
        return {str(one.verdict) for one in found} == {"clean"}

    with Load(lab, sleep_s=0.01) as load:
        load.wait_for(50)
        until(lambda: f"logs wait for {url} since " in status(), 60)
        assert clean()
        with collecting(port) as collector:
            collector.wait_for(lambda: len(collector.bodies(CALLS)) > 50)
            before = lab.supervisor.processes()[SERVICE].pid
            os.kill(before, signal.SIGKILL)
            until(lambda: lab.supervisor.processes()[SERVICE].pid not in (0, before), 60)
            there = len(collector.bodies(CALLS))
            collector.wait_for(lambda: len(collector.bodies(CALLS)) > there + 50)
            assert f"router ready; logs go to {url}" in status()
            load.stop()
            log = lab.state / "workspaces" / "lab" / "router" / "access.log"
            until(lambda: log.read_text().count("\n") >= load.results.total(), 60)
            ids = {json.loads(line)["request_id"] for line in log.read_text().splitlines()}
            collector.wait_for(lambda: ids <= {*_ids(collector)})
            events = collector.bodies("AmlOnlineEndpointEventLog")
            printed = collector.bodies("AmlOnlineEndpointConsoleLog")
    assert load.failed == {}
    twice = [one for one, times in Counter(_ids(collector)).items() if times > 1]
    assert len(twice) <= 2000
    assert "Started instance" in events
    assert printed
    assert {one["service.instance.id"] for one in collector.resources} == {"lab"}
    del lab.document["workspaces"][0]["logs"]
    assert lab.up() == ["update Workspace 'lab'"]
    assert not [line for line in lab.processes() if "inference_provider.service" in line]
    assert clean()


def _ids(collector) -> list[str]:
    return [
        named(one.attributes)["XRequestId"]
        for one in collector.logs
        if named(one.attributes)["Type"] == CALLS
    ]


def test_a_span_of_each_call_goes_where_the_workspace_declares_it(lab: Lab):
    lab.up()
    with collecting() as collector, Load(lab, sleep_s=0.01) as load:
        load.wait_for(20)
        lab.document["workspaces"][0]["traces"] = {"otlp_endpoint": collector.url}
        assert lab.up() == ["update Workspace 'lab'"]
        assert lab.up() == []
        collector.wait_for(lambda: len(collector.spans) > 100)
        said = f"router ready; spans go to {collector.url}"
        until(lambda: said in " ".join(lab.said("status")[1].split()), 30)
        found = named(collector.spans[-1].attributes)
        assert (found["azureml.endpoint"], found["azureml.deployment"]) == ("iris", "blue")
        del lab.document["workspaces"][0]["traces"]
        assert lab.up() == ["update Workspace 'lab'"]
    assert load.failed == {}
