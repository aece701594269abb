"""Test and chat on the console of the workspace service: from where, and with whose credential."""

import httpx
import pytest
from starlette.testclient import TestClient
from tests.memory import ANN, fill_journal, state_of
from tests.unit.test_desk import journal, spec
from tests.unit.test_web_pages import IRIS, READS, ROSE, SCIENTIST, SITE, Desk, post, sign_in, words
from tests.unit.web.asking import FETCHED, KEYS
from tests.unit.web.test_tokens import of_provider

from inference_provider.access import Principal
from inference_provider.apply import apply
from inference_provider.desired import resolve
from inference_provider.plan import plan

ACTS = (("test", {"body": "{}"}), ("chat", {"text": "hi"}))
FROM_OUTSIDE = "This endpoint takes no calls from your address. Nothing was sent."


def change_rose(desk: Desk, *assignments, login=None, **fields) -> None:
    """Apply the workspace with another endpoint rose."""
    wanted = spec(*assignments, **(login or {}))
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


@pytest.fixture
def provided():
    """A service whose endpoint rose takes tokens of an identity provider, and what it is sent."""
    sent, status = [], [200]

    def answer(request):
        sent.append(request.headers["authorization"])
        return httpx.Response(status[0], json={})

    login = {"identity_provider": FETCHED}
    transport = httpx.MockTransport(answer)
    desk = Desk(SCIENTIST, keys=KEYS, transport=transport, **login)
    change_rose(desk, SCIENTIST, login=login, auth_mode="aad_token")
    return desk, sent, status


def test_an_endpoint_of_a_providers_tokens_is_called_with_that_of_who_has_signed_in(
    provided, monkeypatch
):
    monkeypatch.setenv("INFERENCE_TOKEN", "of.the.service")
    desk, sent, status = provided
    client, token = desk.client(), of_provider()
    assert sign_in(client, token).status_code == 303
    for page, form in ACTS:
        answer = post(client, f"{ROSE}/{page}", **form)
        assert (answer.status_code, token in answer.text) == (200, False)
    assert sent == [f"Bearer {token}"] * 2
    assert called(desk) == []  # the router's log names the caller
    status[0] = 401
    told = words(post(client, f"{ROSE}/test", body="{}"))
    assert "the token that you have signed in with is expired, or of another issuer" in told


def test_who_has_signed_in_with_another_token_is_told_which_one_such_an_endpoint_takes(
    provided, monkeypatch
):
    monkeypatch.setenv("INFERENCE_TOKEN", "of.the.service")
    desk, sent, _ = provided
    for page, form in ACTS:
        told = words(post(desk.signed_in(), f"{ROSE}/{page}", **form))
        assert (
            "score Endpoint 'lab/rose': it takes tokens of the workspace's identity_provider"
            " alone, and you have signed in with one of the workspace itself; sign out, and sign"
            " in with a token of the identity_provider"
        ) in told
    assert sent == []
