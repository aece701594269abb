"""The workspace service over HTTP on this machine: tokens for callers without the state folder."""

import time

import httpx
import pytest

from inference_provider.observed import Kind
from tests.local.conftest import Lab
from tests.ports import own_port

pytestmark = pytest.mark.local

PORT = own_port()
CALLS = {
    "workspace": "lab",
    "name": "ben-calls",
    "principal": "ben",
    "principal_type": "user",
    "role": "Caller",
    "scope": "endpoints/iris",
}
GIVES_TOKENS = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/token/action"
URL = f"http://127.0.0.1:{PORT}"


@pytest.fixture
def served(lab):
    """A workspace with a service, whose endpoint takes tokens, which ben may get."""
    lab.document["workspaces"][0] |= {
        "service": {"port": PORT},
        "roles": {"Caller": {"actions": [GIVES_TOKENS]}},
    }
    lab.document["endpoints"][0]["auth_mode"] = "aml_token"
    lab.document["role_assignments"] = [CALLS]
    lab.up()
    return lab


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def of_workspace(lab: Lab, who: str = "ben") -> str:
    code, said = lab.said("access", "token", f"user:{who}")
    assert code == 0, said
    return said.strip()


def ask(token: str, endpoint: str = "iris", url: str = URL, **given) -> httpx.Response:
    path = f"{url}/endpoints/{endpoint}/token"
    return httpx.post(path, headers=bearer(token), timeout=10, **given)


def test_a_caller_without_the_state_folder_gets_a_token_and_scores(served):
    mine = of_workspace(served)
    answer = ask(mine, json={"minutes": 10})
    assert answer.status_code == 200, answer.text
    given = answer.json()
    assert set(given) == {"accessToken", "expiryTimeUtc", "refreshAfterTimeUtc", "tokenType"}
    assert 590 <= given["expiryTimeUtc"] - time.time() <= 600
    scored = httpx.post(served.uri, json={}, headers=bearer(given["accessToken"]), timeout=10)
    assert scored.status_code == 200
    # neither token is good for the other
    assert ask(given["accessToken"]).status_code == 401
    assert httpx.post(served.uri, json={}, headers=bearer(mine)).status_code == 403
    workspace = served.observe(Kind.WORKSPACE, "lab")
    assert (workspace.degraded, workspace.status) == (
        "",
        f"router ready; service on http://127.0.0.1:{PORT}",
    )
    assert served.plan().pending == ()
    journal = served.target.journal("lab")
    assert ("ben", "issue token") in {(one.actor.user, one.action) for one in journal}
    secrets = (mine, given["accessToken"])
    files = [one for one in served.state.rglob("*") if one.is_file()]
    assert [one for one in files for text in secrets if text.encode() in one.read_bytes()] == []
