"""Keys of an identity provider that a workspace of this machine fetches, when processes end."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from inference_provider.router.provider import KEYS_SOCKET
from inference_provider.targets.local.key_process import KEYS
from inference_provider.targets.local.router import ROUTER
from tests.local.conftest import ACTOR, Lab
from tests.local.server.model import until
from tests.oidc_server import Provider, provider
from tests.ports import own_port

pytestmark = pytest.mark.local


@pytest.fixture(name="login")
def a_provider() -> Iterator[Provider]:
    with provider(own_port()) as found:
        yield found


def provided(lab: Lab, login: Provider) -> str:
    """Have endpoint iris take tokens of a provider; return one that is let in."""
    lab.document["workspaces"][0]["identity_provider"] = {
        "issuer": login.issuer,
        "audience": "chat",
        "jwks_uri": login.jwks_uri,
        "jwks_refresh_s": 1,
    }
    lab.document["endpoints"] = [{"name": "iris", "auth_mode": "aad_token"}]
    role = {"name": "ann", "principal": "ann", "role": "AzureML Data Scientist"}
    lab.document["role_assignments"] = [{**role, "principal_type": "user"}]
    lab.up()
    return login.token("ann")


def lets_in(lab: Lab, token: str) -> bool:
    return lab.score(key=token).status_code == 200


def test_fetched_keys_survive_a_power_cut_while_the_provider_is_silent(lab: Lab, login: Provider):
    token = provided(lab, login)
    until(lambda: lets_in(lab, token))
    login.stop()
    os.kill(lab.supervisor._daemon_pid(), signal.SIGKILL)
    for pid in lab.process_ids():
        os.kill(pid, signal.SIGKILL)
    time.sleep(0.2)
    lab.target.start("lab", ACTOR)
    until(lambda: lets_in(lab, token))
    kept = f"keys cannot be fetched from {login.jwks_uri}: Connection refused; those of 20"
    until(lambda: kept in lab.said("status")[1].replace("\n", " "))
    assert lab.up() == []


def test_who_fetches_keys_comes_back_by_itself_and_goes_when_nobody_needs_it(
    lab: Lab, login: Provider
):
    token = provided(lab, login)
    until(lambda: lets_in(lab, token))
    before = lab.supervisor.processes()[KEYS].pid
    os.kill(before, signal.SIGKILL)
    until(lambda: (found := lab.supervisor.process(KEYS)).runs and found.pid not in (0, before))
    login.rotate()
    after = login.token("ann")
    until(lambda: lets_in(lab, after))
    assert not lets_in(lab, token)
    lab.document["endpoints"] = [{"name": "iris"}]
    lab.up()
    assert KEYS not in lab.supervisor.processes()
    assert ROUTER in lab.supervisor.processes()


def test_one_that_cannot_start_holds_up_no_change_and_status_says_so(lab: Lab, login: Provider):
    token = provided(lab, login)
    until(lambda: lets_in(lab, token))
    lab.supervisor.remove(KEYS)
    socket = lab.target.local.router("lab").folders.router_folder / KEYS_SOCKET
    socket.unlink(missing_ok=True)
    socket.mkdir()
    lab.document["endpoints"][0]["tags"] = {"a": "b"}
    lab.up()
    assert lets_in(lab, token)
    nobody = f"nothing fetches the keys of {login.jwks_uri}: apply the stack again; those of 20"
    assert nobody in lab.said("status")[1].replace("\n", " ")
    socket.rmdir()
    lab.up()
    until(lambda: nobody not in lab.said("status")[1].replace("\n", " "))
