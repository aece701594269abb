"""Alerts of a workspace on a Docker host: who watches them, and where that is read."""

import json
from datetime import UTC, datetime

from tests.stacks import stack

from inference_provider.alerts import Standing
from inference_provider.desired import resolve
from inference_provider.gpus import Ledger
from inference_provider.refusals import refusals
from inference_provider.targets.docker.capabilities import docker_capabilities
from inference_provider.workspace.alert_states import AlertState, written


def refused(**space) -> list[str]:
    endpoint = {"name": "iris", "alerts": {"errors": {"metric": "ErrorRate", "threshold": 5}}}
    document = stack(workspaces=[{"target": "docker", **space}], endpoints=[endpoint])
    able = docker_capabilities(lambda _base: Ledger(), lambda _image: "", lambda *_: True)
    return [str(one) for one in refusals(resolve(document), able)]


def test_alerts_are_refused_where_the_workspace_names_no_socket_of_its_engine():
    assert refused(engine_socket="/var/run/docker.sock") == []
    assert refused() == [
        "Endpoint 'default/iris' on target 'docker': alerts: a Docker host watches alerts by a"
        " container that has the Engine's socket, which is root of the host, and the workspace"
        " allows none; set its engine_socket, to /var/run/docker.sock on most hosts, or leave them"
        " out"
    ]


def test_only_alerts_that_tell_a_webhook_have_it_in_the_network_of_its_host(keeper, networks):
    keeper.needs_no_rule()
    keeper.needs_alerts(severity=1)
    assert networks() == ["none"]
    keeper.needs_alerts(severity=1, webhook="ops")
    assert networks() == ["host"]
    keeper.needs_alerts()
    assert networks() == []


FIRED = AlertState(standing=Standing(condition="Fired", since=datetime(2026, 11, 27, tzinfo=UTC)))


def test_what_it_has_written_down_of_alerts_is_told_and_of_alerts_that_are_gone_is_nothing_left(
    engine, keeper, router
):
    keeper.needs_alerts(severity=1)
    router.publish(())
    engine.files = {"alerts.json": written({"iris": {"errors": FIRED}}).encode()}
    assert keeper.alerts() == {"iris": {"errors": FIRED}}
    said = "alert 'errors' fired at 2026-11-27T00:00:00Z: "
    assert keeper.told()["alerts"] == {"iris": (said,)}
    keeper.needs_alerts()
    keeper.needs_metrics(port=9464)
    router.publish(())
    assert keeper.alerts() == {}
    assert keeper.told()["alerts"] == {}


def test_of_alerts_of_an_endpoint_that_cannot_be_read_nothing_is_forgotten(engine, keeper, router):
    keeper.needs_alerts(severity=1)
    router.publish(())
    kept = {"alerts.json": written({"iris": {"errors": FIRED}}).encode()}
    engine.files = {**kept}
    with keeper.records.edit():
        keeper.records.put("records", "Endpoint.iris", "{")
    keeper.needs_metrics(port=9464)
    router.publish(())
    assert engine.files == kept


def test_events_that_it_has_written_down_are_told_without_those_that_nobody_can_read(
    engine, keeper
):
    keeper.settle("sha256:1")
    assert [*keeper.events()] == []
    of = {"instance": "", "deployment": "iris", "name": "AlertFired", "message": "so"}
    lines = [json.dumps({"time": f"2026-11-27T00:00:0{n}Z", **of}) for n in (1, 2)]
    there = [lines[0], "{", "{}", lines[1], '{"time"']
    engine.files = {"logs/events.jsonl": "\n".join(there).encode()}
    assert [str(one.time)[17:19] for one in keeper.events()] == ["01", "02"]
