"""Logs of a real workspace, sent to a real collector."""

import json
import os
import signal
from collections import Counter

import psutil
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


def kill_watch(lab: Lab) -> None:
    """Kill what looks after logs; another looks within seconds."""
    found = [one for one in lab.process_ids() if "watch.py" in str(psutil.Process(one).cmdline())]
    assert len(found) == 1
    os.kill(found[0], signal.SIGKILL)


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


def test_logs_that_are_too_old_go_while_all_is_served(lab: Lab):
    lab.document["workspaces"][0]["logs"] = {"retention_days": 1}
    lab.up()
    folder = lab.state / "workspaces" / "lab"
    (instance,) = (one.name for one in lab.instances()["iris/blue"])
    log = folder / "logs" / "iris" / "blue" / f"{instance}.log"
    calls, events = folder / "router" / "access.log", folder / "logs" / "events.jsonl"
    old = "2001-09-09T01:46:40.000Z"
    with Load(lab, sleep_s=0.01) as load:
        load.wait_for(20)
        until(lambda: log.with_name(f".{log.name}.times").exists(), 30)
        log.with_name(f".{log.name}.times").write_text("1000000000 1\n")
        with calls.open("r+") as file:  # the router appends to it
            file.truncate()
            file.write(f'{{"ts": "{old}"}}\n')
        events.write_text(f'{{"time": "{old}"}}\n')
        os.utime(log, (1e9, 1e9))
        kill_watch(lab)
        before = [one.with_name(f"{one.name}.1") for one in (log, calls, events)]
        until(lambda: all(one.exists() for one in before), 60)
        until(lambda: calls.exists() and calls.stat().st_size > 0, 60)
        until(log.exists, 60)
        for one in before:
            os.utime(one, (1e9, 1e9))
        kill_watch(lab)
        until(lambda: not any(one.exists() for one in before), 60)
    assert load.failed == {}
    os.kill(lab.supervisor.processes()[instance].pid, signal.SIGKILL)
    until(lambda: log.stat().st_size > 0, 60)  # what the next one prints
