"""TLS of a router on a Docker host: the certificate goes into its volume, and is verified here."""

import ssl
import time

import httpx
import pytest

from inference_provider.observed import Kind, ResourceId
from inference_provider.targets.docker import names
from tests.conformance.labs import DockerLab
from tests.docker_host import run_in

pytestmark = pytest.mark.docker


@pytest.fixture
def lab(tmp_path):
    made = DockerLab(DockerLab.open(tmp_path), tmp_path, f"tls{time.time_ns() % 10**9}")
    made.desired = (made.space(tls={"generate": True}), *made.desired[1:])
    made.up()
    yield made
    made.close()


def test_a_router_in_a_container_speaks_tls_and_another_certificate_is_of_the_same_authority(lab):
    def trusted() -> str:
        space = ResourceId(kind=Kind.WORKSPACE, workspace=lab.workspace, name=lab.workspace)
        return lab.target.observe_one(space).outputs["ca_certificate"]

    def status() -> int:
        headers = {"authorization": f"Bearer {lab.keys()[0]}"}
        url = f"{lab.router.address().url}/endpoints/iris/score"
        verified = ssl.create_default_context(cadata=trusted())
        return httpx.post(url, headers=headers, verify=verified, trust_env=False).status_code

    assert lab.router.address().url.startswith("https://")
    first = trusted()
    assert status() == 200
    lab.apply(lab.space(tls={"generate": True, "names": ["gpu-1"]}))
    assert (status(), trusted()) == (200, first)
    router = names.router(lab.workspace)
    find = ("find", "/router", "-name", "sds.json", "-perm", "0600")
    assert run_in(lab.platform.host, router, *find)[1].count("sds.json") == 1
    lab.apply(lab.space(tls=None))
    assert lab.router.address().url.startswith("http://")
    assert lab.ask() == 200
