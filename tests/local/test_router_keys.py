"""Two keys an endpoint, and where they never are."""

import pytest

from inference_provider.router.render import CDS, LDS, RDS, RTDS
from tests.local.server.routing import PRIMARY, SECONDARY, Served, code_of, raw_get

pytestmark = pytest.mark.envoy


@pytest.mark.parametrize(
    "value", ["", "Bearer wrong", "Basic abc"], ids=["none", "wrong", "other scheme"]
)
def test_a_missing_or_wrong_key_is_401(served: Served, value: str):
    found = served.client.get(
        "/endpoints/chat/score", headers={"authorization": value} if value else {}
    )
    assert code_of(found) == (401, "Unauthorized")
    assert "azureml-model-deployment" not in found.headers  # no name for a caller without a key


@pytest.mark.parametrize(("key", "client"), [(PRIMARY, "primary"), (SECONDARY, "secondary")])
def test_both_keys_are_valid_and_neither_reaches_the_model(served: Served, key: str, client: str):
    asked = {"authorization": f"Bearer {key}", "x-azml-client": "somebody"}
    found = served.ask("chat/score", headers=asked)
    headers = found.json()["headers"]
    assert (found.status_code, headers["x-azml-client"]) == (200, client)
    assert "authorization" not in headers
    assert key not in found.text


def test_a_key_never_reaches_the_model_by_any_route(served: Served):
    routes = {
        "split": served.ask("chat/score"),
        "pinned": served.ask("chat/score", pin="green"),
        "pinned without traffic": served.ask("idle/score", pin="blue"),
        "to a scoring path": served.ask("other/score"),
        "an error": served.ask("chat/status/500"),
    }
    assert [name for name, found in routes.items() if "x-azml-client" not in found.text] == []
    assert [name for name, found in routes.items() if PRIMARY in found.text] == []


@pytest.mark.parametrize("other", ["no-such-key", SECONDARY])
def test_of_two_authorizations_none_reaches_the_model(served: Served, other: str):
    found = served.raw(raw_get("/endpoints/chat/score", f"authorization: Bearer {other}"))
    assert found.startswith(("HTTP/1.1 200 ", "HTTP/1.1 401 "))
    assert PRIMARY not in found
    assert other not in found


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "POST", "DELETE"])
def test_no_method_is_free_of_a_key(served: Served, method: str):
    assert served.client.request(method, "/endpoints/chat/score").status_code == 401


@pytest.mark.parametrize("scheme", ["bearer", "BEARER"])
def test_the_schemes_case_does_not_open_the_endpoint_to_a_wrong_key(served: Served, scheme: str):
    asked = {"authorization": f"{scheme} wrong"}
    assert served.client.get("/endpoints/chat/score", headers=asked).status_code == 401


def test_an_unknown_pin_without_a_key_says_no_more_than_401(served: Served):
    asked = {"azureml-model-deployment": "red"}
    found = served.client.get("/endpoints/chat/score", headers=asked)
    assert code_of(found) == (401, "Unauthorized")


def test_keys_are_in_no_place_but_the_route_file(served: Served):
    served.ask("chat/score")
    served.ask(f"chat/score?key={PRIMARY}")
    served.ask("chat/status/500", headers={"authorization": f"Bearer {SECONDARY}"})
    served.client.get("/endpoints/chat/score", headers={"authorization": f"Basic {PRIMARY}"})
    assert {200, 401, 424} <= {one["status"] for one in served.logged()}
    places = {
        "config_dump": served.router.admin.get("/config_dump?include_eds").text,
        "argv": " ".join(served.router.command()),
        "log": (served.folder / "log").read_text(),
        "access.log": (served.folder / "access.log").read_text(),
        "metrics": served.metrics(),
    }
    found = [name for name, text in places.items() if PRIMARY in text or SECONDARY in text]
    assert found == []
    assert PRIMARY in (served.folder / RDS).read_text()


def test_only_the_owner_can_open_the_folder_and_its_files(served: Served):
    found = {
        name: oct((served.folder / name).stat().st_mode & 0o777)
        for name in ("", "rds", RDS, CDS, LDS, RTDS, "bootstrap.json", "admin.sock")
    }
    assert found == {name: "0o700" if name in ("", "rds") else "0o600" for name in found}
