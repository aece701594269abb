"""Which keys stand in the router's table, also where they are lost."""

import pytest
from pydantic import SecretStr
from tests.unit.router_build.records import KEYS, Workspace, endpoint

from inference_provider.router import EndpointEntry, RouterTable
from inference_provider.router.build import with_keys_in_force


def test_an_endpoint_whose_keys_are_lost_has_none():
    workspace = Workspace(endpoint("iris"), endpoint("chat"))
    del workspace.keys["iris"]
    assert [one.keys for one in workspace.built()] == [(), KEYS]


def test_an_endpoint_that_is_not_asked_with_keys_has_none_and_gets_none_back():
    (before,) = Workspace(endpoint("iris")).built()
    (after,) = Workspace(endpoint("iris", "aad_token")).built()
    assert (before.keys, after.keys) == (KEYS, ())
    old, new = (
        RouterTable(folder="/r", host="h", port=1, metrics_port=2, endpoints=(entry,))
        for entry in (before, after)
    )
    assert with_keys_in_force(new, old) is new


def table(*endpoints: EndpointEntry) -> RouterTable:
    return RouterTable(
        folder="/srv/router", host="127.0.0.1", port=1, metrics_port=2, endpoints=endpoints
    )


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        pytest.param(table(EndpointEntry(name="iris", keys=KEYS)), KEYS, id="keys in force"),
        pytest.param(table(EndpointEntry(name="iris", keys=())), (), id="none in force"),
        pytest.param(table(), (), id="a new endpoint"),
        pytest.param(None, (), id="nothing in force"),
    ],
)
def test_lost_keys_are_those_in_force_where_there_are_some(
    before: RouterTable | None, expected: tuple[SecretStr, ...]
):
    after = with_keys_in_force(table(EndpointEntry(name="iris", keys=())), before)
    assert after.endpoints[0].keys == expected


def test_keys_that_are_there_are_never_those_in_force():
    fresh = (SecretStr("third"), SecretStr("fourth"))
    after = with_keys_in_force(
        table(EndpointEntry(name="iris", keys=fresh)), table(EndpointEntry(name="iris", keys=KEYS))
    )
    assert after.endpoints[0].keys == fresh


def test_a_table_hides_its_keys_unless_they_are_asked_for():
    whole = table(EndpointEntry(name="iris", keys=KEYS))
    assert "first" not in whole.model_dump_json()
    assert "first" not in repr(whole)
    text = whole.model_dump_json(context={"keys": "clear"})
    assert RouterTable.model_validate_json(text) == whole
