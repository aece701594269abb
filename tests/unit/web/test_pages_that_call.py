"""Test and chat on the console of the workspace service: from where, and with whose credential."""

import pytest
from starlette.testclient import TestClient
from tests.memory import ANN
from tests.unit.test_desk import journal, spec
from tests.unit.test_web_pages import IRIS, READS, ROSE, SCIENTIST, SITE, Desk, post, sign_in, words

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
