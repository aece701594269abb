"""The console of a Docker host's workspace service, as somebody with a token uses it: over TLS."""

import copy
import json
import re
import ssl
from contextlib import ExitStack, closing
from html import unescape

import httpx
import pytest

from inference_provider.targets.docker import names
from tests.docker.stack import stack_of
from tests.docker_host import SOCKET
from tests.ports import own_port

pytestmark = pytest.mark.docker

PORT = own_port()
SITE = f"https://127.0.0.1:{PORT}"


@pytest.fixture(scope="module")
def stack(tmp_path_factory, host):
    more = {
        "engine_socket": SOCKET,
        "service": {"port": PORT, "console": True},
        "tls": {"generate": True},
    }
    with stack_of(host, tmp_path_factory.mktemp("console"), **more) as made:
        [blue] = made.document["deployments"]
        made.document["deployments"].append({**copy.deepcopy(blue), "name": "green"})
        made.document["traffic"][0]["traffic"] = {"blue": 100, "green": 0}
        roles = {"ann": "Owner", "ben": "Reader"}
        made.document["role_assignments"] = [
            {
                "workspace": made.workspace,
                "name": f"{who}-has",
                "principal": who,
                "principal_type": "user",
                "role": role,
            }
            for who, role in roles.items()
        ]
        made.up()
        yield made


class Browser:
    """Somebody who is signed in; `close` ends their connections."""

    def __init__(self, stack, who: str) -> None:
        outputs = json.loads(stack.said("outputs", "--json", "--show-secrets")[1])
        trusted = next(one["ca_certificate"] for one in outputs.values() if "ca_certificate" in one)
        [self.endpoint] = [one for one in outputs.values() if "scoring_uri" in one]
        self.path = f"/endpoints/{stack.workspace}/iris"
        self.client = httpx.Client(
            base_url=SITE,
            headers={"origin": SITE},
            verify=ssl.create_default_context(cadata=trusted),
            trust_env=False,
            timeout=60,
        )
        token = stack.said("access", "token", f"user:{who}")[1].strip()
        answer = self.client.post("/login", data={"token": token})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")

    def close(self) -> None:
        self.client.close()

    def get(self, path: str = "") -> httpx.Response:
        return self.client.get(self.path + path)

    def post(self, path: str, **fields: str) -> httpx.Response:
        token = re.search('name="form_token" value="([0-9a-f]{64})"', self.client.get("/").text)[1]
        sent = {"form_token": token, **fields}
        return self.client.post(self.path + path, data=sent, follow_redirects=True)


@pytest.fixture
def signed_in(stack):
    """Sign somebody in, by their name."""
    with ExitStack() as open_ones:
        yield lambda who: open_ones.enter_context(closing(Browser(stack, who)))


def test_an_owner_reads_logs_calls_changes_the_split_and_sees_keys(stack, signed_in):
    ann = signed_in("ann")
    called = ann.post("/test", body="{}", deployment="green")
    assert called.status_code == 200, called.text
    assert "green" in called.text.partition('id="answer"')[2]
    logs = ann.get("/logs?deployment=green")
    assert (logs.status_code, f"inference.{stack.workspace}." in logs.text) == (200, True)
    planned = ann.post("/split", **{"share.blue": "90", "share.green": "10"})
    assert "traffic.blue: 100 -> 90" in unescape(planned.text)
    plan = re.search('name="plan" value="([^"]+)"', planned.text)[1]
    applied = ann.post("/split/apply", plan=plan)
    assert "The split was changed." in applied.text
    again = ann.post("/split/apply", plan=plan)
    assert "This plan was applied already" in again.text
    keys = {name: ann.endpoint[name] for name in ("primary_key", "secondary_key")}
    assert [one for one in keys.values() if one in ann.get("/consume").text] == []
    shown = ann.post("/consume")
    assert [one for one in keys.values() if one not in shown.text] == []
    journal = stack.said("journal")[1]
    for action in ("sign in to", "update", "read keys"):
        assert re.search(rf"ann .*{action}|{action}.* ann", journal), (action, journal)
    stack.document["traffic"][0]["traffic"] = {"blue": 90, "green": 10}
    assert "no changes" in stack.up()


def test_a_reader_sees_and_does_nothing_and_no_key_is_in_the_log(stack, host, signed_in):
    ben = signed_in("ben")
    assert ben.get().status_code == 200
    assert ben.get("/logs").status_code == 403
    assert ben.post("/test", body="{}").status_code == 403
    assert ben.post("/split", **{"share.blue": "0", "share.green": "100"}).status_code == 403
    assert ben.post("/consume").status_code == 403
    log = host.api.logs(names.web(stack.workspace)).decode()
    assert (ben.endpoint["primary_key"] in log, "Traceback" in log) == (False, False)
