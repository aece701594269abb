"""What follows when requests begin to wait, and when an instance takes them again."""

import time

from inference_provider.service.waking import Waking
from inference_provider.targets.envoy.room import Said


class Room:
    """Says what a test sets, and remembers what news were asked for."""

    def __init__(self, *said: Said | None) -> None:
        self.holds = False
        self._said = [*said]
        self.asked: list[int] = []
        self.published = 0
        self.waking = Waking(self._ask, self._publish, lambda: self.holds)

    def _ask(self, after: int, _wait_s: float) -> Said | None:
        self.asked.append(after)
        return self._said.pop(0)

    def _publish(self) -> None:
        self.published += 1


def test_a_look_comes_at_once_when_a_request_begins_to_wait():
    room = Room(Said(news=3), Said(news=3))
    room.waking.look()
    began_s = time.monotonic()
    room.waking.pause(60)
    assert time.monotonic() - began_s < 30
    room.waking.look()
    room.waking.pause(0.01)
    assert room.asked == [-1, 3]


def test_the_router_is_told_as_long_as_it_holds_requests_that_an_instance_takes():
    woken = Said(news=1, woken=("iris/blue",))
    room = Room(woken, woken, Said(news=2), None)
    for _ in range(4):
        room.waking.look()
    assert room.published == 2


def test_nobody_is_asked_where_no_rule_allows_zero_and_nothing_waits_or_holds_requests():
    waits = Said(news=1, waiting={"iris/blue": 1})
    room = Room(waits, Said(news=1), Said(news=1), Said(news=1))
    room.waking.look()
    room.waking.expects = False
    asked = []
    for holds in (False, False, True, False):
        room.holds = holds
        room.waking.look()
        asked.append(len(room.asked))
    room.waking.expects = True
    room.waking.look()
    assert [*asked, len(room.asked)] == [2, 2, 3, 3, 4]
