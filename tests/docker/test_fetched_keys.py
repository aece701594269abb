"""Keys of an identity provider that a router in a container has fetched, over its restart."""

import time

import pytest

from tests.conformance.labs import DockerLab, wait_until
from tests.conformance.test_roles import may
from tests.oidc_server import provider
from tests.ports import own_port

pytestmark = pytest.mark.docker


@pytest.fixture
def lab(tmp_path):
    made = DockerLab(DockerLab.open(tmp_path), tmp_path, f"keys{time.time_ns() % 10**9}")
    made.up()
    yield made
    made.close()


def test_keys_fetched_last_are_in_force_after_a_restart_of_the_container(lab):
    with provider(own_port()) as login:
        fetched = {"jwks_uri": login.jwks_uri, "jwks_refresh_s": 1}
        provided = {"issuer": login.issuer, "audience": "chat", **fetched}
        lab.apply(lab.space(identity_provider=provided), may(lab))
        lab.apply(lab.endpoint("iris", auth_mode="aad_token"))
        token = login.token("ann")
        wait_until(lambda: lab.ask(key=token) == 200)
        login.stop()
        router = lab.platform.ports(lab.workspace).router.router
        lab.platform.host.api.restart(router._id(), timeout=0)
        wait_until(lambda: router.status().fault == "")
        wait_until(lambda: lab.ask(key=token) == 200)
        wait_until(lambda: "Connection refused; those of 20" in router.status().note)
        login.start()
        wait_until(lambda: lab.ask(key=login.token("ann")) == 200)
        wait_until(lambda: lab.ask(key=token) == 401)
