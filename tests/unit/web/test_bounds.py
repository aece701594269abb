"""How often the workspace service may be asked, and from where."""

import pytest
from tests.memory import state_of
from tests.unit.test_desk import BEN_CALLS, up
from tests.unit.web.asking import Asking

from inference_provider.access import Principal
from inference_provider.errors import TargetError
from inference_provider.targets.memory import MemoryTarget
from inference_provider.web.rates import Rates
from inference_provider.web.source_ranges import Sources


def test_one_caller_that_asks_too_often_waits_and_no_other_does(asking):
    up(asking.target, {**BEN_CALLS, "name": "eve-calls", "principal": "eve"}, BEN_CALLS)
    ben, eve = asking.token(), asking.token(Principal("user", "eve"))
    codes = [asking.get_token(ben).status_code for _ in range(62)]
    assert (codes.count(200), codes[-1]) == (60, 429)
    answer = asking.get_token(asking.token())  # another token of the same caller
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert asking.get_token(eve).status_code == 200


def test_a_bucket_fills_evenly():
    rates = Rates(per_minute=2)
    times = (0, 0, 0, 29, 30, 30, 60, 10_000, 10_000, 10_000)
    assert [rates.wait_s("ben", at) for at in times] == [0, 0, 30, 1, 0, 30, 0, 0, 0, 30]


def test_who_is_not_in_a_range_is_refused_whatever_is_asked(asking):
    asking.sources = ("10.0.0.0/8", "2001:db8::/32")
    asked = [("GET", "/health"), ("POST", "/endpoints/iris/token"), ("GET", "/nothing")]
    ben = asking.token()
    assert {asking.ask(*one, ben).status_code for one in asked} == {403}
    for inside in ("10.1.2.3", "2001:db8::1", "::ffff:10.1.2.3"):
        assert asking.get_token(ben, client=inside).status_code == 200
    forwarded = [("x-forwarded-for", "10.1.2.3"), ("forwarded", "for=10.1.2.3")]
    assert asking.get_token(ben, headers=forwarded).status_code == 403


def test_while_nobody_knows_who_may_ask_nobody_may(asking):
    asking.sources = None
    assert asking.get_token(asking.token()).status_code == 503


@pytest.mark.parametrize("wrong", ["gone", "corrupt"])
def test_while_the_record_of_the_workspace_is_lost_nobody_may_ask(wrong):
    asking = Asking(BEN_CALLS, allowed_source_ranges=["10.0.0.0/8"])
    sources, records = Sources(state_of(asking.target, "lab")), "records"
    there = asking.target.memory.ports("lab").records
    ben, kept = asking.token(), there.read(records, "Workspace.lab").decode()

    def codes() -> list[int]:
        asking.sources = sources.get()
        return [asking.get_token(ben, client=f"{one}.1.2.3").status_code for one in (10, 192)]

    assert codes() == [200, 403]
    if wrong == "gone":
        there.drop(records, "Workspace.lab")
    else:
        there.put(records, "Workspace.lab", "half")
    with pytest.raises(TargetError, match=r"Workspace\.lab"):
        sources.look()
    assert codes() == [503, 503]
    there.put(records, "Workspace.lab", kept)
    sources.look()
    assert codes() == [200, 403]


def test_a_router_that_starts_before_its_workspace_is_recorded_knows_no_ranges():
    target = MemoryTarget()
    assert state_of(target, "lab").sources() == ()
