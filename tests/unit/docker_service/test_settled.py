"""The container that keeps rules on a Docker host, while others settle it too."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.docker_engine import GONE, SOCKET, missing

from inference_provider.errors import TargetError


def test_threads_of_one_up_make_one_container_between_them(engine, keeper):
    first_starts = threading.Event()

    def before_start():
        first_starts.set()
        time.sleep(0.3)  # nothing tells that a thread waits for a lock

    engine.before_start = before_start
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(keeper.settle, "sha256:1")
        first_starts.wait(5)
        second = pool.submit(keeper.settle, "sha256:1")
        assert (first.result(), second.result()) == (True, False)
    assert [one["State"] for one in engine.there.values()] == ["running"]
    assert engine.made == 1


def test_what_a_client_without_a_lock_removes_meanwhile_is_made_again(engine, keeper):
    def removed_once():
        engine.there.clear()
        engine.before_start = lambda: None

    engine.before_start = removed_once
    keeper.settle("sha256:1")
    assert (engine.made, [*engine.there]) == (2, ["c2"])


def test_a_container_that_is_gone_each_time_is_told(engine, keeper):
    engine.before_start = engine.there.clear
    with pytest.raises(TargetError, match="status 404"):
        keeper.settle("sha256:1")
    assert engine.made == 3


def test_one_that_was_made_and_never_started_is_made_again(engine, keeper):
    keeper.settle("sha256:1")
    engine.there["c1"]["State"] = "created"
    keeper.settle("sha256:1")
    assert [one["State"] for one in engine.there.values()] == ["running"]


def test_a_stranger_of_its_name_keeps_no_publication_back_and_status_says_why(
    engine, keeper, router
):
    engine.is_name_taken = True
    router.publish(())
    assert keeper._host.asked_router == ["publish"]
    assert missing(keeper).startswith("the autoscaler does not run: counts stay as they are")
    assert "its last start failed: start the autoscaler of workspace 'lab'" in missing(keeper)
    assert missing(keeper).endswith("status 409")
    engine.is_name_taken = False
    router.publish(())
    assert keeper.told() == {"beside": "autoscaler runs", "unkept": {}, "alerts": {}}
    engine.there["c1"]["State"] = "exited"
    assert missing(keeper) == "the autoscaler does not run: counts stay as they are"


def test_a_rule_is_refused_where_nothing_can_keep_it(engine, router):
    engine.is_name_taken = True
    with pytest.raises(TargetError, match="status 409"):
        router.keep_rules()


def test_a_new_socket_is_refused_where_the_host_has_none_and_the_old_one_stays(
    engine, keeper, router
):
    router.keep_rules()
    with pytest.raises(TargetError, match="status 400"), router.given(GONE, pytest.fail):
        keeper.socket = GONE  # as the edit of the record does
        try:
            router.publish(())
        finally:
            keeper.socket = SOCKET  # as its undoing does
    assert keeper._host.asked_router == []
    assert keeper.told() == {"beside": "autoscaler runs", "unkept": {}, "alerts": {}}
    assert [one["Labels"]["inference.socket"] for one in engine.there.values()] == [SOCKET]


def test_a_socket_that_has_moved_keeps_nothing_back_not_even_its_own_change(engine, keeper, router):
    keeper.socket = GONE
    router.publish(())
    with router.given(SOCKET, pytest.fail):
        router.publish(())  # a change looks before it edits whether all runs
        keeper.socket = SOCKET
        router.publish(())
    assert keeper._host.asked_router == ["publish"] * 3
    assert keeper.told() == {"beside": "autoscaler runs", "unkept": {}, "alerts": {}}


def test_a_change_of_the_workspace_that_mends_no_autoscaler_says_so(engine, router):
    engine.is_name_taken = True
    told: list[str] = []
    with router.given(SOCKET, told.append):
        router.publish(())
    assert [one.partition(":")[0] for one in told] == ["the autoscaler does not run"]


def test_it_stays_where_the_record_of_its_workspace_cannot_be_read(engine, keeper, router):
    router.publish(())
    keeper.socket = TargetError("read", "a record", "it is corrupt")
    router.publish(())
    assert [*engine.there] == ["c1"]
    assert keeper.told()["beside"] == "autoscaler runs"
    engine.there.clear()
    assert "its last start failed: read a record: it is corrupt" in missing(keeper)


@pytest.mark.parametrize(("role", "made"), [("worker", 1), ("autoscaler", 0)])
def test_only_the_autoscaler_starts_none(engine, keeper, monkeypatch, role, made):
    monkeypatch.setenv("INFERENCE_ROLE", role)
    keeper.settle("sha256:1")
    assert engine.made == made


LOST = {
    "rules": "the autoscaler does not run: counts stay as they are",
    "moving": "the workspace service does not run: splits stay where they are on their way",
    "metrics": "the workspace service does not run: metrics go nowhere",
    "alerts": "the workspace service does not run: nobody watches alerts",
}


@pytest.mark.parametrize("need", LOST)
def test_it_runs_for_each_thing_that_nobody_else_does_and_status_says_what_is_lost(
    engine, keeper, router, need
):
    if need != "rules":
        keeper.needs_no_rule()
    router.publish(())
    assert engine.made == (need == "rules")
    if need == "moving":
        keeper.needs_to_move()
    if need == "metrics":
        keeper.needs_metrics(port=9464)
    if need == "alerts":
        keeper.needs_alerts(severity=1)
    router.publish(())
    assert engine.made == 1
    engine.there["c1"]["State"] = "exited"
    assert missing(keeper) == LOST[need]
    keeper.socket = None
    engine.there.clear()
    no_socket = "runs, because the workspace names no engine_socket"
    name, _, lost = LOST[need].removeprefix("the ").partition(" does not run")
    assert missing(keeper) == f"no {name} {no_socket}{lost}"


def test_it_is_in_the_network_of_its_host_while_metrics_are_declared_and_in_none_before_and_after(
    engine, keeper, networks
):
    assert networks() == ["none"]
    keeper.needs_metrics(port=9464)
    assert networks() == ["host"]
    assert networks() == ["host"]
    assert engine.made == 2
    keeper.needs_metrics()
    assert networks() == ["none"]


@pytest.mark.parametrize(
    ("written", "taken", "said"),
    [
        (b"[]", True, "metrics on 127.0.0.1:9464"),
        (b"[]", False, "metrics start on 127.0.0.1:9464"),
        (None, False, "metrics start on 127.0.0.1:9464"),
        (b"[", True, "metrics on 127.0.0.1:9464"),
        (b'["metrics do not go to 9464: taken"]', True, "metrics do not go to 9464: taken"),
    ],
)
def test_status_says_where_metrics_are_served_or_why_they_are_not(
    engine, keeper, written, taken, said
):
    keeper.needs_no_rule()
    keeper.needs_metrics(port=9464)
    keeper.settle("sha256:1")
    engine.files = {} if written is None else {"metrics.json": written}
    assert keeper.told(lambda _port: taken) == {"beside": said, "unkept": {}, "alerts": {}}


def test_a_split_on_its_way_is_told_beside_the_metrics(keeper, router):
    keeper.needs_to_move()
    keeper.needs_metrics(otlp_endpoint="http://127.0.0.1:4318")
    router.publish(())
    assert keeper.told()["beside"] == "autoscaler runs"
    keeper.needs_no_rule()
    assert keeper.told()["beside"] == "workspace service runs"
    keeper.needs_metrics(port=9464)
    assert keeper.told()["beside"] == "workspace service runs; metrics on 127.0.0.1:9464"
