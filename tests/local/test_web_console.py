"""The console of the workspace service in a real browser: by a token, within its roles."""

import re
from datetime import timedelta

import httpx
import pytest

from inference_provider.access import Principal
from tests import chromium
from tests.local.conftest import ACTOR
from tests.local.test_console import changes_the_split_by_keys, looks_right, reads_the_keys
from tests.ports import own_port

pytestmark = [
    pytest.mark.local,
    pytest.mark.envoy,
    pytest.mark.skipif(bool(chromium.missing()), reason=chromium.missing() or "it is there"),
]
PORT = own_port()
SITE = f"http://127.0.0.1:{PORT}"
PEOPLE = {"ann": "Owner", "ben": "Reader"}


@pytest.fixture
def served(lab):
    lab.document["workspaces"][0]["service"] = {"port": PORT, "console": True}
    lab.document["role_assignments"] = [
        {
            "workspace": "lab",
            "name": f"{name}-has",
            "principal": name,
            "principal_type": "user",
            "role": role,
        }
        for name, role in PEOPLE.items()
    ]
    lab.up()
    return lab


def token(lab, who: str) -> str:
    wanted = Principal("user", who), (), timedelta(hours=1), ACTOR
    return lab.target.desk("lab").issue(*wanted).value.get_secret_value()


def signs_in(page, text: str) -> None:
    page.call("Page.navigate", url=f"{SITE}/")
    page.until("location.pathname == '/login' && document.querySelector('#token')")
    page.run(f"document.querySelector('#token').value = {text!r}")
    page.click("document.querySelector('form button')")


def test_who_signs_in_by_a_token_does_what_their_roles_allow(served, tmp_path):
    with chromium.page(tmp_path / "profile") as page:
        page.look("light", 1200)
        looks_right(page, f"{SITE}/login", tmp_path / "door")
        page.look("light", 1200)
        signs_in(page, "nonsense")
        page.until("document.body.innerText.includes('This token is not valid here')")
        signs_in(page, token(served, "ann"))
        page.until(
            "location.pathname == '/' && document.querySelector('h1').innerText == 'Overview'"
        )
        changes_the_split_by_keys(served, page, SITE)
        reads_the_keys(served, page, SITE)
    journal = served.target.journal("lab")
    mine = [(one.action, one.actor.command) for one in journal if one.actor.user == "ann"]
    assert mine == [
        ("sign in to", "workspace service"),
        ("update", "workspace console"),
        ("read keys", "workspace console"),
    ]


def test_a_reader_sees_and_changes_nothing_and_a_script_needs_no_page(served):
    with httpx.Client(base_url=SITE, headers={"origin": SITE}) as client:
        answer = client.post("/login", data={"token": token(served, "ben")})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert "iris" in client.get("/").text
        assert client.get("/endpoints/lab/iris").status_code == 200
        assert client.get("/endpoints/lab/iris/logs").status_code == 403
    assert httpx.post(f"{SITE}/endpoints/iris/token").status_code == 401


def test_a_call_from_a_page_is_answered_and_is_the_callers_in_the_journal(served):
    with httpx.Client(base_url=SITE, headers={"origin": SITE}, timeout=30) as client:
        client.post("/login", data={"token": token(served, "ann")})

        def call() -> httpx.Response:
            form = re.search('name="form_token" value="([0-9a-f]{64})"', client.get("/").text)
            sent = {"form_token": form[1], "body": "{}"}
            return client.post("/endpoints/lab/iris/test", data=sent)

        answer = call()
        assert (answer.status_code, "x-request-id" in answer.text) == (200, True)
        found = [one for one in served.target.journal("lab") if one.action == "score"]
        assert [(one.actor.user, one.actor.command) for one in found] == [
            ("ann", "workspace console")
        ]
        served.document["endpoints"][0]["allowed_source_ranges"] = ["10.1.0.0/16"]
        served.up()
        answer = call()
        assert answer.status_code == 403
        assert "This endpoint takes no calls from your address." in answer.text
