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


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "bEaReR  ", "Bearer   "])
def test_the_scheme_is_bearer_in_any_case_with_blanks_after_it(served: Served, scheme: str):
    found = served.raw(keyed(f"{scheme}{SECONDARY}"))
    assert found.startswith("HTTP/1.1 200 ")
    assert '"x-azml-client": "secondary"' in found
    assert SECONDARY not in found
    assert "authorization" not in found


@pytest.mark.parametrize(
    "value",
    [
        PRIMARY, f"Basic {PRIMARY}", f"Token {PRIMARY}", f"X-Bearer {PRIMARY}", f"bearer{PRIMARY}",
        f"Bearer\t{PRIMARY}", f"Bearer Bearer {PRIMARY}", f"Bearer: {PRIMARY}", f"Bearer={PRIMARY}",
        f"Bearer key {PRIMARY}", f'Bearer "{PRIMARY}"', f"Bearer {PRIMARY},", f"Bearer ,{PRIMARY}",
        f"Bearer {PRIMARY} {PRIMARY}", f"Bearer {PRIMARY}, Bearer x", f"Bearer {PRIMARY[:-1]}",
        f"Bearer {PRIMARY}x", "Bearer", "bearer ",
    ],
)  # fmt: skip
def test_a_key_with_any_other_scheme_or_none_is_401(served: Served, value: str):
    assert served.raw(keyed(value)).startswith("HTTP/1.1 401 ")


def test_a_claimed_identity_opens_no_other_way_to_a_key(served: Served):
    claimed = served.raw(keyed(PRIMARY, "x-azml-client: primary"))
    assert claimed.startswith("HTTP/1.1 401 ")


def test_an_error_of_the_model_is_424_whatever_the_schemes_case(served: Served):
    asked = {"authorization": f"bearer {PRIMARY}"}
    found = served.client.get("/endpoints/chat/status/500", headers=asked)
    assert (found.status_code, found.headers["ms-azureml-model-error-statuscode"]) == (424, "500")


@pytest.mark.parametrize(
    ("path", "header"),
    [
        ("", f"x-api-key: {PRIMARY}"),
        ("", f"api-key: Bearer {PRIMARY}"),
        ("", f"proxy-authorization: Bearer {PRIMARY}"),
        ("", f"x-authorization: Bearer {PRIMARY}"),
        ("", f"cookie: authorization=Bearer {PRIMARY}"),
        (f"?authorization=Bearer%20{PRIMARY}", "accept: */*"),
        (f"?key={PRIMARY}", "accept: */*"),
    ],
)
def test_a_key_in_any_other_place_is_401(served: Served, path: str, header: str):
    assert served.raw(keyed("", header, path=path)).startswith("HTTP/1.1 401 ")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (f"Bearer {PRIMARY}", "Bearer no-such-key"),
        ("Bearer no-such-key", f"Bearer {PRIMARY}"),
        (f"Bearer {PRIMARY}", f"Bearer {SECONDARY}"),
        (f"Bearer {PRIMARY}", f"Bearer {PRIMARY}"),
        (f"Bearer {PRIMARY}", PRIMARY),
        (f"bearer {PRIMARY}", f"bearer {PRIMARY}"),
        ("Basic abc", f"bearer {PRIMARY}"),
        ("bearer", PRIMARY),
    ],
)
def test_two_authorizations_are_401(served: Served, first: str, second: str):
    assert served.raw(keyed(first, f"Authorization: {second}")).startswith("HTTP/1.1 401 ")


def keyed(value: str, *more: str, path: str = "") -> str:
    """Return a request whose Authorization is exactly `value`; without one when it is empty."""
    lines = [f"GET /endpoints/chat/score{path} HTTP/1.1", "host: router", "connection: close"]
    return "\r\n".join([*lines, *([f"authorization: {value}"] if value else []), *more, "", ""])


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


def test_keys_are_in_no_place_but_the_route_file_and_the_remembered_table(served: Served):
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
    files = [path for path in served.folder.rglob("*") if path.is_file()]
    with_keys = {path.name for path in files if PRIMARY in path.read_text(errors="replace")}
    assert with_keys == {"rds.json", "table.json"}


def test_only_the_owner_can_open_the_folder_and_its_files(served: Served):
    found = {
        name: oct((served.folder / name).stat().st_mode & 0o777)
        for name in ("", "rds", RDS, CDS, LDS, RTDS, "bootstrap.json", "table.json", "admin.sock")
    }
    assert found == {name: "0o700" if name in ("", "rds") else "0o600" for name in found}


def test_an_endpoint_without_keys_is_closed_to_everybody(served: Served):
    found = {
        path: {
            value: served.client.get(
                f"/endpoints/{path}", headers={"authorization": value} if value else {}
            ).status_code
            for value in ("", f"Bearer {PRIMARY}", "Bearer", "Bearer x", "Basic abc", PRIMARY)
        }
        for path in ("closed/score", "closed/", "closed/sleep/0")
    }
    assert {status for by_value in found.values() for status in by_value.values()} == {401}
    pinned = served.ask("closed/score", pin="blue")
    assert code_of(pinned) == (401, "Unauthorized")
    assert served.ask("closed/score", pin="red").status_code == 401
