"""Which filters a request meets: those that are always on, and those that its route asks for."""

import json
import pathlib
from typing import Any

import pytest

from inference_provider.router import RouterTable, render
from inference_provider.router.render import LDS, RDS, filters_in

FOLDER = pathlib.Path(__file__).parents[1] / "golden" / "router" / "in"
TABLES = {
    path.stem: RouterTable.model_validate_json(path.read_text()) for path in FOLDER.glob("*.json")
}
KEYS, TOKENS = "envoy.filters.http.api_key_auth", "envoy.filters.http.jwt_authn"
PROVIDER, ROLES = f"{TOKENS}.identity_provider", "envoy.filters.http.rbac"
SOURCES = "envoy.filters.http.sources"
OF_PAGES = "envoy.filters.http.cors"


def manager_of(table: RouterTable) -> dict[str, Any]:
    chain = json.loads(render(table).files[LDS])["resources"][0]["filter_chains"][0]
    found: dict[str, Any] = chain["filters"][0]["typed_config"]
    return found


def asked_for(table: RouterTable) -> list[set[str]]:
    """Return the filters that each route, or all of a host, says something of."""
    found: list[set[str]] = []

    def look(part: Any) -> None:
        if isinstance(part, dict) and "typed_per_filter_config" in part:
            found.append(set(part["typed_per_filter_config"]))
        for one in part.values() if isinstance(part, dict) else part:
            if isinstance(one, dict | list):
                look(one)

    look(json.loads(render(table).files[RDS]))
    return found


def test_a_request_of_a_route_that_asks_for_nothing_meets_these_alone():
    manager = manager_of(TABLES["one"])
    always = [one["name"] for one in manager["http_filters"] if not one.get("disabled")]
    of_websockets = manager["upgrade_configs"][0]["filters"]
    assert always == [
        "envoy.filters.http.body_size_limit",
        "envoy.filters.http.corrections",
        KEYS,
        "envoy.filters.http.router",
    ]
    assert [one["name"] for one in of_websockets if not one.get("disabled")] == always[1:]


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_filter_that_a_route_asks_for_is_in_the_listener_of_every_table(name: str):
    table = TABLES[name].model_copy(update={"sources": ("10.0.0.0/8",)})
    manager = manager_of(TABLES["empty"])
    asked = set().union(*asked_for(table))
    assert asked - {one["name"] for one in manager["http_filters"]} == set()
    of_websockets = {one["name"] for one in manager["upgrade_configs"][0]["filters"]}
    assert asked - of_websockets <= {OF_PAGES}  # a websocket has no preflight request


def test_each_route_of_a_providers_tokens_also_asks_for_its_callers_roles():
    routes = asked_for(TABLES["identity-provider"])
    assert [ROLES in one for one in routes] == [PROVIDER in one for one in routes]
    assert any(PROVIDER in one for one in routes)


def test_the_filters_of_a_listener_of_any_release_are_read_by_their_names():
    found = filters_in(render(TABLES["one"]).files[LDS])
    assert {KEYS, TOKENS, PROVIDER, ROLES, SOURCES} < found
    assert filters_in("") == filters_in('{"resources": 5}') == filters_in("[]") == set()
