"""Test and chat on the console of the workspace service: from where, and with whose credential."""

import pytest
from starlette.testclient import TestClient
from tests.memory import ANN, fill_journal, state_of
from tests.unit.test_desk import journal, spec
from tests.unit.test_web_pages import IRIS, READS, ROSE, SCIENTIST, SITE, Desk, post, sign_in, words

from inference_provider.access import Principal
from inference_provider.apply import apply
from inference_provider.desired import resolve
from inference_provider.plan import plan

ACTS = (("test", {"body": "{}"}), ("chat", {"text": "hi"}))
FROM_OUTSIDE = "This endpoint takes no calls from your address. Nothing was sent."


def change_rose(desk: Desk, *assignments, **fields) -> None:
    """Apply the workspace with another endpoint rose."""
    wanted = spec(*assignments)
    iris, rose = wanted.endpoints
    wanted = wanted.model_copy(update={"endpoints": (iris, rose.model_copy(update=fields))})
    apply(plan(resolve(wanted), desk.target.observe(["lab"]), "demo"), desk.target, ANN)


def signed_in_from(desk: Desk, address: str) -> TestClient:
    client = TestClient(desk.app, SITE, follow_redirects=False, client=(address, 1))
    assert sign_in(client, desk.token()).status_code == 303
    return client


@pytest.mark.parametrize("access", ["disabled", "enabled"])
def test_who_is_outside_an_endpoints_ranges_calls_it_by_no_page(access):
    desk = Desk(SCIENTIST)
    ranges = ("10.1.0.0/16", "2001:db8::/32")
    change_rose(desk, SCIENTIST, public_network_access=access, allowed_source_ranges=ranges)
    for address in ("10.2.0.1", "2001:db9::1", "::ffff:10.2.0.1"):
        client = signed_in_from(desk, address)
        for page, sent in ACTS:
            answer = post(client, f"{ROSE}/{page}", **sent)
            assert (answer.status_code, FROM_OUTSIDE in words(answer)) == (403, True)
            assert post(client, f"{IRIS}/{page}", **sent).status_code == 200
            assert client.get(f"{ROSE}/{page}").status_code == 200
    [refused] = [one for one in journal(desk.target) if "refused" in one[1]]
    assert refused == (
        "ben",
        "1 call refused (403, not allowed) by the service of",
        "lab",
        "not from this address, by allowed_source_ranges of endpoint 'rose'",
    )


@pytest.mark.parametrize("address", ["10.1.0.7", "2001:db8::1", "::ffff:10.1.0.7"])
def test_who_is_inside_an_endpoints_ranges_calls_it_by_a_page(address):
    desk = Desk(SCIENTIST)
    change_rose(desk, SCIENTIST, allowed_source_ranges=("10.1.0.0/16", "2001:db8::/32"))
    client = signed_in_from(desk, address)
    for page, sent in ACTS:
        assert post(client, f"{ROSE}/{page}", **sent).status_code == 200


def test_who_may_not_call_learns_nothing_of_an_endpoints_ranges():
    desk = Desk(READS)
    change_rose(desk, READS, allowed_source_ranges=("10.1.0.0/16",))
    answer = post(signed_in_from(desk, "10.2.0.1"), f"{ROSE}/test", body="{}")
    assert answer.status_code == 403
    assert FROM_OUTSIDE not in words(answer)


def called(desk: Desk) -> list[tuple[str, str, str]]:
    found = [one for one in desk.target.journal("lab") if one.action == "score"]
    return [(one.actor.user, one.actor.command, one.id.name) for one in found]


def test_who_calls_by_an_endpoints_key_is_in_the_journal_once_in_ten_minutes():
    desk = Desk(SCIENTIST, {**SCIENTIST, "name": "eve-calls", "principal": "eve"})
    ben, eve = desk.signed_in(), desk.signed_in(Principal("user", "eve"))
    for page, sent in ACTS * 3:
        assert post(ben, f"{ROSE}/{page}", **sent).status_code == 200
    assert called(desk) == [("ben", "workspace console", "rose")]
    post(eve, f"{ROSE}/chat", text="hi")
    desk.now_s += 599
    post(ben, f"{ROSE}/chat", text="hi")
    assert called(desk)[1:] == [("eve", "workspace console", "rose")]
    desk.now_s += 1
    post(ben, f"{ROSE}/chat", text="hi")
    assert called(desk)[2:] == [("ben", "workspace console", "rose")]
    key = state_of(desk.target, "lab").keys("rose")[0].get_secret_value()
    assert key not in repr(desk.target.journal("lab"))


def test_a_call_by_a_token_is_in_the_journal_as_that_token():
    desk = Desk(SCIENTIST)
    post(desk.signed_in(), f"{IRIS}/chat", text="hi")
    assert called(desk) == []
    assert journal(desk.target)[-1] == ("ben", "issue token", "iris", "")


def test_nobody_calls_by_a_key_of_which_the_journal_has_no_room_to_tell():
    desk = Desk(SCIENTIST)
    client = desk.signed_in()
    fill_journal(desk.target, "lab")
    assert "no space left" in words(post(client, f"{ROSE}/test", body="{}"))
    fill_journal(desk.target, "lab", is_full=False)
    post(client, f"{ROSE}/test", body="{}")
    assert called(desk) == [("ben", "workspace console", "rose")]
