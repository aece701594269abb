"""Two keys an endpoint, and where they never are."""

import pytest

from inference_provider.router.render import CDS, LDS, RDS, RTDS
from tests.local.server.routing import PRIMARY, SECONDARY, Served, code_of

pytestmark = pytest.mark.envoy


@pytest.mark.parametrize(
    "value", ["", "Bearer wrong", "Basic abc"], ids=["none", "wrong", "other scheme"]
)
def test_a_missing_or_wrong_key_is_401(served: Served, value: str):
    found = served.client.get(
        "/endpoints/chat/score", headers={"authorization": value} if value else {}
    )
    assert code_of(found) == (401, "Unauthorized")


@pytest.mark.parametrize(("key", "client"), [(PRIMARY, "primary"), (SECONDARY, "secondary")])
def test_both_keys_are_valid_and_neither_reaches_the_model(served: Served, key: str, client: str):
    asked = {"authorization": f"Bearer {key}", "x-azml-client": "somebody"}
    found = served.ask("chat/score", headers=asked)
    headers = found.json()["headers"]
    assert (found.status_code, headers["x-azml-client"]) == (200, client)
    assert "authorization" not in headers
    assert key not in found.text


def test_keys_are_in_no_place_but_the_route_file(served: Served):
    served.ask("chat/score")
    places = {
        "config_dump": served.router.admin.get("/config_dump?include_eds").text,
        "argv": " ".join(served.router.command()),
        "log": (served.folder / "log").read_text(),
        "access.log": (served.folder / "access.log").read_text(),
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
