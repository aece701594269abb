"""The workspace service over HTTP on this machine: tokens for callers without the state folder."""

import os
import signal
import socket
import time
from contextlib import suppress
from datetime import timedelta

import httpx
import pytest

from inference_provider.access import Principal
from inference_provider.errors import TargetError
from inference_provider.observed import Kind, ResourceId
from tests.local.conftest import ACTOR, Lab
from tests.local.server.model import until
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
    wanted = Principal("user", who), (), timedelta(hours=1), ACTOR
    return lab.target.desk("lab").issue(*wanted).value.get_secret_value()


def ask(token: str, endpoint: str = "iris", url: str = URL, **given) -> httpx.Response:
    path = f"{url}/endpoints/{endpoint}/token"
    return httpx.post(path, headers=bearer(token), timeout=10, **given)


def test_a_caller_without_the_state_folder_gets_a_token_and_scores(served):
    code, said = served.said("access", "token", "user:ben")
    assert code == 0, said
    mine = said.strip()
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


def pid_of(lab: Lab) -> int:
    return lab.supervisor.processes()["web"].pid


def comes_back(token: str, url: str = URL) -> bool:
    try:
        return ask(token, url=url).status_code == 200
    except httpx.TransportError:
        return False


def test_its_end_or_hang_harms_nothing_else_and_it_comes_back(served):
    mine = of_workspace(served)
    given = ask(mine).json()["accessToken"]
    os.kill(pid_of(served), signal.SIGSTOP)
    try:
        assert httpx.post(served.uri, json={}, headers=bearer(given)).status_code == 200
        served.document["endpoints"][0]["tags"] = {"while": "it hangs"}
        assert served.up() == ["update Endpoint 'lab/iris'"]
    finally:
        os.kill(pid_of(served), signal.SIGCONT)
    before = pid_of(served)
    os.kill(before, signal.SIGKILL)
    assert httpx.post(served.uri, json={}, headers=bearer(given)).status_code == 200
    until(lambda: comes_back(mine))
    assert pid_of(served) != before


def test_when_it_ends_it_writes_down_how_many_calls_it_has_refused(served):
    assert [ask("nonsense").status_code for _ in range(4)] == [401] * 4
    served.target.stop("lab", ACTOR)
    served.target.start("lab", ACTOR)
    told = [one.action for one in served.target.journal("lab") if "no valid token" in one.action]
    assert [one.partition(" (")[0] for one in told] == ["1 call refused", "3 calls refused"]


def test_a_role_that_is_taken_away_stays_so_after_a_restart(served):
    mine = of_workspace(served)
    assert ask(mine).status_code == 200
    del served.document["role_assignments"]
    served.up()
    assert ask(mine).status_code == 403
    served.target.stop("lab", ACTOR)
    with pytest.raises(httpx.ConnectError):
        ask(mine)
    served.target.start("lab", ACTOR)
    until(lambda: _answers() and ask(mine).status_code == 403)
    served.document["role_assignments"] = [CALLS]
    served.up()
    assert ask(mine).status_code == 200


def _answers(url: str = URL) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


def test_another_port_none_and_a_taken_one(served):
    mine, other = of_workspace(served), own_port()
    served.document["workspaces"][0]["service"] = {"port": other}
    served.up()
    assert ask(mine, url=f"http://127.0.0.1:{other}").status_code == 200
    assert not _answers()
    with socket.create_server(("127.0.0.1", PORT)):
        served.document["workspaces"][0]["service"] = {"port": PORT}
        served.up()
        assert served.observe(Kind.WORKSPACE, "lab").degraded == (
            f"the service on 127.0.0.1:{PORT} does not run: the port is taken by another process;"
            " end that, or use another service.port"
        )
    until(lambda: comes_back(mine))
    assert served.observe(Kind.WORKSPACE, "lab").degraded == ""
    del served.document["workspaces"][0]["service"]
    served.up()
    assert not _answers()
    assert "web" not in served.supervisor.processes()
    served.document["workspaces"][0]["service"] = {"port": PORT}
    served.up()
    assert ask(mine).status_code == 401  # of before there was none
    served.down()
    assert [one for one in served.processes() if "inference_provider.web" in one] == []


def test_the_router_leads_to_it_by_no_path(served):
    mine, router = of_workspace(served), served.uri.partition("/endpoints")[0]
    for path in (
        "/endpoints/iris/token",
        "/endpoints/iris/../../health",
        f"/http://127.0.0.1:{PORT}/health",
    ):
        answer = httpx.post(router + path, headers=bearer(mine), timeout=10)
        assert answer.status_code in {401, 403, 404}, path
        assert "accessToken" not in answer.text
    routes = (served.state / "workspaces" / "lab" / "router").rglob("*.json")
    assert [one for one in routes if str(PORT) in one.read_text()] == []


def raw(sent: bytes, wait_s: float = 3) -> bytes:
    """Send bytes and return what comes, until the other side closes or nothing comes."""
    with socket.create_connection(("127.0.0.1", PORT), timeout=wait_s) as asker:
        got = b""
        try:
            asker.sendall(sent)
            while piece := asker.recv(65536):
                got += piece
        except (TimeoutError, ConnectionError):
            pass
        return got


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def test_what_is_sent_to_harm_it_is_refused_and_it_goes_on(served):
    mine = of_workspace(served)
    line = b"POST /endpoints/iris/token HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    auth = f"Authorization: Bearer {mine}\r\n".encode()
    refused = {
        "huge headers": line + b"X: " + b"a" * 200_000 + b"\r\n\r\n",
        "many headers": line + b"".join(b"X%d: a\r\n" % i for i in range(20_000)) + b"\r\n",
        "two tokens": line + auth + auth + b"\r\n",
        "a length and chunks": line + auth + b"Content-Length: 1\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "two lengths": line + auth + b"Content-Length: 0\r\nContent-Length: 1\r\n\r\n",
        "a long body": line + auth + b"Content-Length: 100000\r\n\r\n" + b"x" * 100_000,
        "no HTTP": b"\x16\x03\x01" + b"\0" * 200,
        "a bare line": line + b"Authorization\r\n\r\n",
        "an upgrade": line + b"Upgrade: websocket\r\n\r\n",
    }
    answered = {why: status(raw(sent)) for why, sent in refused.items()}
    assert all(400 <= code < 500 for code in answered.values()), answered
    assert status(raw(line + auth + b"Content-Length: 0\r\n\r\n")) == 200
    # a body that never comes, and a connection that says nothing, hold up nobody
    silent = [socket.create_connection(("127.0.0.1", PORT)) for _ in range(50)]
    for one in silent[:25]:
        one.sendall(line + auth + b"Content-Length: 10\r\n\r\n")
    try:
        assert ask(mine).status_code == 200
    finally:
        for one in silent:
            one.close()
    assert "Traceback" not in served.log()


def test_signing_keys_and_tokens_are_rotated_under_load_without_a_failed_request(served):
    mine, codes = of_workspace(served), []
    for turn in range(30):
        if turn in (10, 20):
            served.target.desk("lab").rotate(ACTOR)
            mine = of_workspace(served)
        if turn in (12, 22):
            iris = ResourceId(kind=Kind.ENDPOINT, workspace="lab", name="iris")
            served.target.rotate_key(iris, "signing", ACTOR)
        answer = ask(mine)
        codes.append(answer.status_code)
        token = answer.json()["accessToken"]
        codes.append(httpx.post(served.uri, json={}, headers=bearer(token)).status_code)
    assert codes == [200] * 60


def test_a_corrupt_record_of_its_workspace_leaves_it_as_it_is(served):
    before = served.supervisor.processes()["web"].pid
    record = served.state / "workspaces" / "lab" / "records" / "Workspace.lab.json"
    record.write_text("{")
    with suppress(TargetError):
        served.target.publish("lab")
    assert served.supervisor.processes()["web"].pid == before
