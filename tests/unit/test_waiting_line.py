"""Who goes on in a line, and when; and whose requests wait on though none would wait any more."""

import pytest

from inference_provider.router.holding import Held, kept_bytes
from inference_provider.router.status import Traffic, traffic_of, traffic_stats
from inference_provider.router.table import Backend, DeploymentEntry, EndpointEntry
from inference_provider.targets.envoy.former_patience import FormerPatience
from inference_provider.targets.envoy.router_admin import RouterAdmin
from inference_provider.targets.envoy.waiting_line import WaitingLine, retry_after_s, takes
from inference_provider.targets.envoy.waiting_room import WaitingRoom

BACKEND = Backend(host="127.0.0.1", port=1)
ONE = DeploymentEntry(name="blue", backends=(BACKEND,), timeout_ms=1000, max_concurrent=1)


class Waits:
    """Requests that join a line, each until a time, and what they are told."""

    def __init__(self, *until_s: float) -> None:
        self.line = WaitingLine()
        self.told: dict[int, bool] = {}
        for number, until in enumerate(until_s):
            self.line.join(self._teller(number), until)

    def _teller(self, number: int):
        def tell(may: bool) -> None:
            self.told[number] = may

        return tell


def test_no_more_go_on_than_a_deployment_takes_and_the_first_go_first():
    waits = Waits(*[60.0] * 5)
    waits.line.move(ONE, Traffic(healthy=1), 0)
    assert waits.told == {0: True, 1: True}
    waits.line.move(ONE, Traffic(healthy=1), 0.1)  # both are on their way still
    assert len(waits.told) == 2
    waits.line.move(ONE, Traffic(healthy=1, in_flight=2, begun=2), 0.2)
    assert len(waits.told) == 2
    waits.line.move(ONE, Traffic(healthy=1, in_flight=1, begun=2), 0.3)
    assert waits.told == {0: True, 1: True, 2: True}


def test_one_that_never_arrives_keeps_the_next_for_a_second():
    waits = Waits(*[60.0] * 3)
    waits.line.move(ONE, Traffic(healthy=1), 0)
    waits.line.move(ONE, Traffic(healthy=1), 0.9)
    assert len(waits.told) == 2
    waits.line.move(ONE, Traffic(healthy=1), 1.0)
    assert len(waits.told) == 3


def test_none_goes_on_to_what_is_not_healthy():
    waits = Waits(60.0)
    waits.line.move(ONE, Traffic(), 0)
    assert waits.told == {}


def test_who_has_waited_too_long_is_refused_and_keeps_no_other():
    waits = Waits(5.0, 9.0)
    waits.line.refuse_late(5.0)
    assert waits.told == {0: False}
    assert len(waits.line) == 1


def test_bodies_that_wait_have_a_bound_in_all_and_in_one_line():
    one, other = WaitingLine(), WaitingLine()
    most = (Held(10, 100), Held(5, 60))
    one.join(lambda _: None, 60.0, 50)
    assert takes([one, other], one, 10, most)
    assert not takes([one, other], one, 11, most)
    assert takes([one, other], other, 50, most)
    assert not takes([one, other], other, 51, most)


def test_a_line_that_is_full_takes_not_even_a_request_without_a_body():
    line = WaitingLine()
    line.join(lambda _: None, 60.0)
    assert not takes([line], line, 0, (Held(10, 100), Held(1, 100)))
    assert not takes([line], line, 0, (Held(1, 100), Held(10, 100)))


def test_the_bytes_of_one_that_leaves_or_is_told_are_free():
    def gives_up(_: bool) -> None:
        """Nobody is there."""

    line = WaitingLine()
    line.join(gives_up, 60.0, 7)
    line.join(lambda _: None, 5.0, 20)
    line.join(lambda _: None, 60.0, 30)
    line.leave(gives_up)
    line.leave(gives_up)
    assert line.held == Held(2, 50)
    line.refuse_late(5.0)
    assert line.held == Held(1, 30)
    line.move(ONE, Traffic(healthy=1), 6.0)
    assert line.held == Held(0, 0)


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("x-body-length: 7", 7),
        ("X-Body-Length: 99000000", 33554432),
        ("x-no-body: 0", 0),
        ("x-body-length: 0\r\nx-no-body: 0", 0),
        ("x-body-length: 9\r\nx-no-body: 0", 9),
        ("x-body-length: many", 33554432),
        ("host: router", 33554432),
    ],
)
def test_a_body_whose_length_nobody_says_counts_as_the_longest(told, kept):
    assert kept_bytes(f"POST /hold/chat/blue/score HTTP/1.1\r\n{told}\r\n\r\n") == kept


@pytest.mark.parametrize(("patience_s", "seconds"), [(0, 1), (1, 1), (60, 3), (240, 12)])
def test_who_is_refused_comes_again_in_a_part_of_the_patience(patience_s, seconds):
    assert retry_after_s(patience_s) == seconds


def test_traffic_is_read_by_the_names_that_are_asked_for():
    assert traffic_stats(["a/b"]) == (
        r"^cluster\.(a/b)\."
        r"(membership_healthy|upstream_rq_active|upstream_rq_total|upstream_rq_pending_active)$"
    )
    found = {
        "cluster.a/b.membership_healthy": 1,
        "cluster.a/b.upstream_rq_total": 7,
        "cluster.a/b.upstream_rq_pending_active": 2,
    }
    assert traffic_of("a/b", found) == Traffic(healthy=1, in_flight=0, begun=7, pending=2)


def test_requests_wait_on_until_an_instance_is_there_or_the_patience_is_over():
    former = FormerPatience()
    patient, without = ONE.model_copy(update={"patience_s": 60}), ONE
    assert former.kept({"a/b": patient, "a/c": patient}, (), 0) == {}
    assert former.kept({"a/b": without, "a/c": without}, (), 10) == {"a/b": 60, "a/c": 60}
    assert former.kept({"a/b": without, "a/c": without}, ("a/c",), 20) == {"a/b": 60}
    assert not former.ends(69)
    assert former.ends(70)
    assert former.kept({"a/b": without, "a/c": without}, (), 70) == {}


def test_an_instance_that_went_leaves_the_next_one_its_whole_time(tmp_path):
    room = WaitingRoom(tmp_path, RouterAdmin(tmp_path / "admin.sock"), lambda: None)
    gone = ONE.model_copy(update={"backends": (), "patience_s": 60})
    room.with_held((EndpointEntry(name="chat", keys=(), deployments=(gone,)),))
    room._since_s["chat/blue"] = 1.0
    assert room._looked_at() == {}
    assert room._since_s == {}


def test_what_is_awake_when_its_rule_ends_waits_no_more():
    former = FormerPatience()
    assert former.kept({"a/b": ONE.model_copy(update={"patience_s": 60})}, ("a/b",), 0) == {}
    assert former.kept({"a/b": ONE}, ("a/b",), 1) == {}
    assert former.kept({"a/b": ONE}, (), 2) == {}
