"""A rule of this machine that leaves no instance: who asks waits for one, with real processes."""

import os
import signal
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest

from inference_provider import __version__
from inference_provider.observed import Kind, ResourceId
from inference_provider.router.holding import SOCKET
from inference_provider.router.render import RDS, version_of
from inference_provider.targets.local.room_process import WAITING
from inference_provider.targets.local.service_process import SERVICE
from tests.local.conftest import ACTOR, Lab
from tests.local.server.model import until
from tests.local.test_autoscale import count, decisions, drifted

pytestmark = pytest.mark.local


@pytest.fixture
def asleep(lab: Lab) -> Lab:
    """A lab whose deployment blue has no instance until a request comes."""
    lab.document["autoscale_rules"] = [
        {
            "endpoint": "iris",
            "deployment": "blue",
            "min_instances": 0,
            "max_instances": 2,
            "targets": [{"metric": "RequestsInFlight", "target": 8}],
            "scale_in": {"stabilization_s": 2},
        }
    ]
    lab.up()
    until(lambda: count(lab) == 0, 30)
    return lab


class Callers:
    """Callers that do not wait for each other."""

    def __init__(self, lab: Lab, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._uri, self._key = lab.uri, lab.key()

    def ask(self, many: int = 1, timeout: float = 60, **headers: str) -> list[Future]:
        given = {"authorization": f"Bearer {self._key}", **headers}

        def one() -> httpx.Response:
            return httpx.post(self._uri, json={}, headers=given, timeout=timeout)

        return [self._pool.submit(one) for _ in range(many)]


@pytest.fixture
def callers(asleep: Lab):
    with ThreadPoolExecutor(64) as pool:
        yield Callers(asleep, pool)


def statuses(answers: list[Future]) -> Counter:
    return Counter(answer.result(90).status_code for answer in answers)


def waiting(lab: Lab) -> int:
    said = lab.target.local.router("lab").beside.held.room.ask()
    return said.waiting.get("iris/blue", 0) if said else 0


def test_requests_wait_for_the_first_instance_and_the_last_one_goes(asleep: Lab, callers: Callers):
    assert "no instance, until a request comes" in asleep.said("status")[1]
    assert drifted(asleep) == {}
    assert asleep.up() == []
    answers = callers.ask(60)
    assert statuses(answers) == {200: 60}
    assert {answer.result().json()["answer"] for answer in answers} == {"blue"}
    woken = next(one for one in decisions(asleep) if "memory" in one and one["count"] == 0)
    assert woken["reasons"][0].endswith("for an instance")
    until(lambda: count(asleep) == 0, 30)
    assert statuses(callers.ask(1)) == {200: 1}


def held(lab: Lab) -> bool:
    """Whether the routes of blue make requests ask first."""
    [endpoint] = lab.target.local.router("lab").envoy.last_published()
    return next(one.held for one in endpoint.deployments if one.name == "blue")


def pid_of(lab: Lab, program: str) -> int:
    process = lab.supervisor.processes().get(program)
    return process.pid if process and process.runs else 0


def test_who_waits_outlives_the_autoscaler_and_the_next_one_starts_an_instance(
    asleep: Lab, callers: Callers
):
    before = pid_of(asleep, SERVICE)
    os.kill(before, signal.SIGSTOP)
    answers = callers.ask(5)
    until(lambda: waiting(asleep) == 5)
    os.kill(before, signal.SIGKILL)
    assert statuses(answers) == {200: 5}


def test_who_waits_in_a_process_that_is_killed_is_told_to_come_again_and_others_wait(
    asleep: Lab, callers: Callers
):
    os.kill(pid_of(asleep, SERVICE), signal.SIGSTOP)
    lost = callers.ask(5)
    until(lambda: waiting(asleep) == 5)
    before = pid_of(asleep, WAITING)
    os.kill(before, signal.SIGKILL)
    assert statuses(lost) == {503: 5}
    assert {answer.result().headers["retry-after"] for answer in lost} == {"1"}
    until(lambda: pid_of(asleep, WAITING) not in (0, before), 30)
    until(lambda: asleep.target.local.router("lab").beside.held.room.ask() is not None, 30)
    os.kill(pid_of(asleep, SERVICE), signal.SIGCONT)
    assert statuses(callers.ask(5)) == {200: 5}


@pytest.mark.parametrize("lost", ["the process", "its socket"])
def test_status_and_drift_tell_when_nothing_can_wait_and_up_mends_it(asleep: Lab, lost: str):
    if lost == "the process":
        asleep.supervisor.remove(WAITING)
    else:
        (asleep.state / "workspaces" / "lab" / "router" / SOCKET).unlink()
    said = " ".join(asleep.said("status")[1].split())
    assert "gets 503, and cannot wait for one: the process for that does not answer; run" in said
    assert list(drifted(asleep)) == ["Workspace 'lab'"]
    asleep.up()
    until(lambda: pid_of(asleep, WAITING) != 0, 30)
    assert drifted(asleep) == {}
    assert asleep.score().status_code == 200


def test_one_of_another_release_is_replaced_but_not_while_requests_wait_in_it(
    asleep: Lab, callers: Callers
):
    before, order = pid_of(asleep, WAITING), asleep.supervisor.order_file(WAITING)
    order.write_text(order.read_text().replace(f'"{__version__}"]', '"0.0.1"]'))
    os.kill(pid_of(asleep, SERVICE), signal.SIGSTOP)
    answers = callers.ask(2)
    until(lambda: waiting(asleep) == 2)
    router = asleep.target.local.router("lab")
    router.ensure_up(lambda: ())
    assert pid_of(asleep, WAITING) == before
    os.kill(pid_of(asleep, SERVICE), signal.SIGCONT)
    assert statuses(answers) == {200: 2}
    router.ensure_up(lambda: ())
    until(lambda: pid_of(asleep, WAITING) not in (0, before), 30)
    assert f'"{__version__}"]' in order.read_text()
    until(lambda: router.beside.held.room.ask() is not None, 30)
    assert statuses(callers.ask(1)) == {200: 1}


def test_who_looks_in_the_middle_of_a_publication_ends_nothing_that_it_may_need(asleep: Lab):
    router, before = asleep.target.local.router("lab"), pid_of(asleep, WAITING)
    routes = asleep.state / "workspaces" / "lab" / "router" / RDS
    text = routes.read_text()
    routes.write_text(text.replace(version_of(text[:64]), "of a table that is not in force yet"))
    assert not router.in_force()
    router.ensure_up(lambda: ())
    assert pid_of(asleep, WAITING) == before


def test_an_instance_that_does_not_start_is_told_and_not_tried_at_full_speed(
    asleep: Lab, callers: Callers
):
    kept = (asleep.state / "workspaces" / "lab" / "assets").rglob("answer.txt")
    [answer_file] = [path for path in kept if path.read_text() == "blue"]
    answer_file.chmod(0o600)
    answer_file.write_text("raise")
    answers = callers.ask(3, timeout=3)
    path = asleep.state / "workspaces" / "lab" / "service" / "decisions.jsonl"
    until(lambda: '"failed"' in path.read_text(), 30)
    failed = [one["failed"] for one in decisions(asleep) if "failed" in one]
    assert len(failed) == 1
    assert "not kept since" in asleep.said("status")[1]
    answer_file.write_text("blue")
    assert all(answer.exception(60) for answer in answers)
    until(lambda: waiting(asleep) == 0)
    assert statuses(callers.ask(3)) == {200: 3}


def test_a_part_of_a_split_waits_alone_and_a_mirror_wakes_nothing(asleep: Lab):
    asleep.document["traffic"][0]["traffic"] = {"blue": 50, "green": 50}
    asleep.up()
    assert count(asleep) == 0
    with ThreadPoolExecutor(64) as pool:
        answers = Callers(asleep, pool).ask(40)
        assert statuses(answers) == {200: 40}
    assert {one.result().json()["answer"] for one in answers} == {"blue", "green"}
    asleep.document["traffic"][0] |= {"traffic": {"blue": 0, "green": 100}}
    asleep.document["traffic"][0]["mirror_traffic"] = {"blue": 50}
    asleep.up()
    until(lambda: count(asleep) == 0, 30)
    assert [asleep.score().json()["answer"] for _ in range(20)] == ["green"] * 20
    time.sleep(3)
    assert count(asleep) == 0


def test_a_stop_and_a_start_leave_it_asleep_and_a_new_version_starts_once(
    asleep: Lab, callers: Callers
):
    assert asleep.said("stop")[0] == 0
    assert asleep.processes() == []
    assert asleep.said("start")[0] == 0
    assert count(asleep) == 0
    assert statuses(callers.ask(3)) == {200: 3}
    until(lambda: count(asleep) == 0, 30)
    asleep.write_code("blue", "azure")
    assert asleep.up() == ["update Deployment 'lab/iris/blue'"]
    assert drifted(asleep) == {}
    until(lambda: count(asleep) == 0, 30)
    assert [one.result().json()["answer"] for one in callers.ask(1)] == ["azure"]
    until(lambda: count(asleep) == 0, 30)
    asleep.down()
    assert asleep.processes() == []


def test_a_start_lets_requests_wait_for_one_that_ran_at_the_stop(lab: Lab):
    lab.document["autoscale_rules"] = [
        {"endpoint": "iris", "deployment": "blue", "min_instances": 0, "max_instances": 2}
    ]
    lab.document["deployments"][0]["environment_variables"] = {"START_S": "3"}
    lab.up()
    assert lab.score().status_code == 200
    uri, key = lab.uri, lab.key()
    assert lab.said("stop")[0] == 0
    started, found = lab.inferctl("start"), list[int]()
    while 200 not in found:
        with suppress(httpx.ConnectError):  # no router, as yet
            given = {"authorization": f"Bearer {key}"}
            found.append(httpx.post(uri, json={}, headers=given, timeout=60).status_code)
    assert found == [200]
    started.communicate(timeout=60)
    assert started.returncode == 0
    until(lambda: waiting(lab) == 0)
    until(lambda: not held(lab))


def test_a_rule_that_goes_while_requests_wait_starts_an_instance_for_them(
    asleep: Lab, callers: Callers
):
    os.kill(pid_of(asleep, SERVICE), signal.SIGSTOP)
    answers = callers.ask(5)
    until(lambda: waiting(asleep) == 5)
    del asleep.document["autoscale_rules"]
    rule = ResourceId(kind=Kind.AUTOSCALE_RULE, workspace="lab", name="iris/blue")
    asleep.target.delete(rule, "lab", ACTOR)
    assert statuses(answers) == {200: 5}
    assert drifted(asleep) == {}
    assert not held(asleep)
    assert pid_of(asleep, SERVICE) == 0
    asleep.supervisor.remove(WAITING)  # no request asks it
    assert statuses(callers.ask(1)) == {200: 1}


def test_a_rule_that_is_turned_off_leaves_nothing_of_it_in_the_way_of_requests(asleep: Lab):
    asleep.document["autoscale_rules"][0]["enabled"] = False
    asleep.up()
    assert not held(asleep)
    assert [pid_of(asleep, program) for program in (SERVICE, WAITING)] == [0, 0]
    assert asleep.score().status_code == 200


def test_who_waits_when_the_last_rule_goes_is_answered(asleep: Lab, callers: Callers):
    asleep.document["deployments"][0]["request_settings"] = {
        "max_concurrent_requests_per_instance": 1
    }
    asleep.write_code("blue", "slow")
    asleep.up()
    until(lambda: count(asleep) == 0, 30)
    os.kill(pid_of(asleep, SERVICE), signal.SIGSTOP)
    answers = callers.ask(8)
    until(lambda: waiting(asleep) == 8)
    rule = ResourceId(kind=Kind.AUTOSCALE_RULE, workspace="lab", name="iris/blue")
    asleep.target.delete(rule, "lab", ACTOR)
    assert not held(asleep)
    assert statuses(answers) == {200: 8}


def test_a_deployment_at_zero_starts_no_instance_to_be_deleted(asleep: Lab):
    events = [one.name for one in asleep.target.events("lab") if one.deployment == "iris/blue"]
    declared = asleep.document
    asleep.document = {"name": "lab", "workspaces": declared["workspaces"]}
    asleep.up()
    known = [one.name for one in asleep.target.events("lab") if one.deployment == "iris/blue"]
    assert known == events, "no instance was started"
    asleep.down()
    assert asleep.processes() == []
