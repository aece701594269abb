"""Where instances without a way out get by the rules of their workspace, on a real Engine."""

import socket
import time

import pytest

from inference_provider.targets.docker import names
from tests.conformance.labs import DockerLab
from tests.docker_host import run_in

pytestmark = pytest.mark.docker
LISTED, OTHER = "pypi.org", "files.pythonhosted.org"
ASK = """
import os, sys, urllib.request
if sys.argv[2:] == ["direct"]:
    urllib.request.install_opener(urllib.request.build_opener(urllib.request.ProxyHandler({})))
try:
    urllib.request.urlopen(urllib.request.Request(sys.argv[1], method="HEAD"), timeout=20)
except urllib.error.HTTPError as answer:
    print("answered", answer.code)
except OSError as fault:
    print("refused", fault)
else:
    print("answered", 200)
"""
TUNNEL = """
import os, socket, sys
host, _, port = os.environ["HTTPS_PROXY"].removeprefix("http://").rpartition(":")
with socket.create_connection((host, int(port)), 10) as opened:
    opened.sendall(f"CONNECT {sys.argv[1]} HTTP/1.1\\r\\nhost: {sys.argv[1]}\\r\\n\\r\\n".encode())
    print(opened.recv(4096).split()[1].decode())
"""


def rules(*destinations):
    return [{"name": f"rule{n}", "destination": one} for n, one in enumerate(destinations)]


@pytest.fixture
def lab(tmp_path):
    try:
        socket.getaddrinfo(LISTED, 443)
    except OSError:
        pytest.skip(f"this machine cannot resolve {LISTED}")
    made = DockerLab(DockerLab.open(tmp_path), tmp_path, f"out{time.time_ns() % 10**9}")
    made.up()
    yield made
    made.close()


def said(lab, code, *given) -> str:
    [instance] = lab.instances()
    return run_in(lab.platform.host, instance, "python3", "-c", code, *given)[1].strip()


def test_a_list_lets_instances_out_to_its_names_alone_and_changes_in_place(lab):
    lab.apply(lab.space(egress="disabled"))
    [before] = lab.instances()
    assert said(lab, ASK, f"https://{LISTED}/simple/").startswith("refused")

    lab.apply(lab.space(egress="disabled", outbound_rules=rules(LISTED)))
    assert [*lab.instances()] == [before]
    assert said(lab, ASK, f"https://{LISTED}/simple/") == "answered 200"
    assert said(lab, ASK, f"https://{LISTED}/simple/", "direct").startswith("refused")
    assert said(lab, TUNNEL, f"{OTHER}:443") == "403"
    for authority in ("127.0.0.1:22", "169.254.169.254:80", f"{LISTED}:22", "localhost:443"):
        assert said(lab, TUNNEL, authority) == "403"
    assert lab.ask() == 200

    lab.apply(lab.space(egress="disabled", outbound_rules=rules("*.pythonhosted.org")))
    assert (said(lab, TUNNEL, f"{LISTED}:443"), said(lab, TUNNEL, f"{OTHER}:443")) == ("403", "200")
    lab.apply(lab.space(egress="disabled"))
    assert [*lab.instances()] == [before]
    assert said(lab, ASK, f"https://{OTHER}/").startswith("refused")
    assert lab.target.observe_one(lab.of("Deployment").id).degraded == ""


def test_an_instance_of_before_is_told_of_the_way_out_by_the_next_up(lab):
    lab.apply(lab.space(egress="disabled"))
    # as an older release made it
    router = lab.router
    with lab.ports.records.edit():
        router.save(router.listens().model_copy(update={"egress_port": 0}))
    lab.ports.compute.retire("iris/blue", [*lab.instances()], 1)
    lab.apply(lab.deployment())
    [before] = lab.instances()
    lab.apply(lab.space(egress="disabled", outbound_rules=rules(LISTED)))
    found = lab.target.observe_one(lab.of("Deployment").id).degraded
    assert (
        found
        == f"{before}: was started before outbound_rules were supported; the next `up` replaces it"
    )
    lab.apply(lab.deployment())
    assert said(lab, ASK, f"https://{LISTED}/simple/") == "answered 200"
    container = lab.platform.host.container(next(iter(lab.instances())))
    assert names.PROXY in container["Config"]["Labels"]


def test_a_port_that_another_process_took_before_the_first_rule_is_chosen_again(lab):
    lab.apply(lab.space(egress="disabled"))
    [before], kept = lab.instances(), lab.router.listens().egress_port
    with socket.create_server(("0.0.0.0", kept)):
        lab.apply(lab.space(egress="disabled", outbound_rules=rules(LISTED)))
        assert lab.router.listens().egress_port != kept
        found = lab.target.observe_one(lab.of("Deployment").id).degraded
        said_why = "was started before the forward proxy's port changed; the next `up` replaces it"
        assert found == f"{before}: {said_why}"
        lab.apply(lab.deployment())
        assert said(lab, ASK, f"https://{LISTED}/simple/") == "answered 200"
