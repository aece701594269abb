"""Questions to the agent of a router that is killed, paused, restarted or replaced meanwhile."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from inference_provider.errors import TargetUnreachable
from inference_provider.router.table import Backend
from inference_provider.targets.docker import names
from tests.conformance.labs import DockerLab, wait_until

pytestmark = pytest.mark.docker
SILENT = Backend(host="127.0.0.1", port=1)
NOT_RUNNING = "is not running; run this again"
CLIENT = """
import sys, threading, time
from inference_provider.router.table import Backend
from inference_provider.targets.docker.target import DockerPlatform

router = DockerPlatform("docker").ports(sys.argv[1]).router
router.in_force()
threading.Thread(target=router.answers, args=(Backend(host="127.0.0.1", port=1), "/", 1, 3)).start()
time.sleep(1)
print("asking", flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("questions")
    made = DockerLab(DockerLab.open(folder), folder, f"ask{time.time_ns() % 10**9}")
    made.apply(made.space())
    yield made
    made.close()
    made.platform.host.close()


@pytest.fixture
def router(lab):
    """The router, which serves, and of which nobody asks anything yet."""
    lab.apply(lab.space())
    lab.platform.host.close()
    wait_until(lambda: relays(lab) == 0)
    return lab.platform.ports(lab.workspace).router.router


def relays(lab) -> int:
    """Count the commands in the router's container through which its agent is asked."""
    found = lab.platform.host.api.top(names.router(lab.workspace))["Processes"]
    return sum(one[-1].endswith("/agent.sock") for one in found)


def fault_of(question: Callable[[], object]) -> tuple[str, float]:
    """Return the error of a question, and after how many seconds it came."""
    began_s = time.monotonic()
    with pytest.raises(TargetUnreachable) as told:
        question()
    return str(told.value), time.monotonic() - began_s


def meanwhile(router, change: Callable[[], object], within_s: float = 60) -> tuple[str, float]:
    """Do something to the router in the middle of a question; return its error, and when."""
    router.in_force()
    given = {"path": "/", "timeout_s": 1, "limit_s": 5, "backends": [SILENT.model_dump()]}
    timer = threading.Timer(0.5, change)
    timer.start()
    try:
        return fault_of(lambda: router._ask("answers", within_s=within_s, **given))
    finally:
        timer.join()


def test_sixteen_threads_share_commands_and_all_end_with_the_client(lab, router):
    with ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(router.status) for _ in range(200)]
        assert [one.result().fault for one in asked] == [""] * 200
    wait_until(lambda: relays(lab) <= 8)
    assert relays(lab) > 0
    lab.platform.host.close()
    wait_until(lambda: relays(lab) == 0)


def test_two_clients_have_commands_of_their_own(lab, router):
    other = DockerLab.open(lab.folder)
    theirs = other.ports(lab.workspace).router
    for _ in range(3):
        assert (router.in_force(), theirs.in_force()) == (True, True)
    assert relays(lab) == 2
    other.host.close()
    wait_until(lambda: relays(lab) == 1)
    assert router.in_force()


def test_nothing_stays_of_a_client_that_is_killed_in_mid_question(lab, router):
    command = [sys.executable, "-c", CLIENT, lab.workspace]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "asking\n"
        assert relays(lab) == 1
        client.kill()
    wait_until(lambda: relays(lab) == 0, 6)


def test_a_router_that_is_killed_in_mid_question_is_told_and_asked_again_once_it_serves(
    lab, router
):
    api, id_ = lab.platform.host.api, router._id()
    fault, after_s = meanwhile(router, lambda: api.kill(id_))
    assert fault.endswith(("agent does not answer: it has ended; run this again", NOT_RUNNING))
    assert after_s < 5
    fault, _after_s = fault_of(router.in_force)
    assert fault.startswith(f"run a command in container {id_}: ")
    assert fault.endswith(NOT_RUNNING)
    api.start(id_)
    wait_until(lambda: router.status().fault == "")
    assert router.in_force()


def test_a_router_that_is_paused_is_waited_for_as_long_as_a_question_may_take(lab, router):
    api, id_ = lab.platform.host.api, router._id()
    fault, after_s = meanwhile(router, lambda: api.pause(id_), within_s=2)
    try:
        assert fault == (
            "ask the router: its agent does not answer: nothing within 2 s; run this again"
        )
        assert 1.5 < after_s < 5
        fault, after_s = fault_of(router.in_force)
        assert "is paused" in fault
        assert after_s < 5
    finally:
        api.unpause(id_)
    assert router.in_force()


def test_a_router_that_is_paused_between_questions_is_told_at_once(lab, router):
    assert router.in_force()
    id_ = router._id()
    lab.platform.host.api.pause(id_)
    try:
        fault, after_s = fault_of(router.in_force)
    finally:
        lab.platform.host.api.unpause(id_)
    assert fault.startswith(f"run a command in container {id_}: ")
    assert "is paused" in fault
    assert after_s < 5
    assert router.in_force()


def test_a_router_that_was_restarted_is_asked_again(lab, router):
    for _ in range(3):
        assert router.in_force()
        lab.platform.host.api.restart(router._id(), timeout=0)
        wait_until(lambda: router.status().fault == "")


def test_a_router_that_took_the_place_of_another_is_asked(lab, router):
    before = router._id()
    assert router.in_force()
    lab.platform.host.remove(before)
    lab.apply(lab.space())
    assert router._id() != before
    assert router.in_force()
    assert relays(lab) == 1
