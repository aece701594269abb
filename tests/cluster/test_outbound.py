"""Instances of a closed workspace get to the names that it lists, by the router's pods alone."""

import os
import time

import pytest

from inference_provider.errors import TargetError
from inference_provider.observed import Kind
from inference_provider.targets.kubernetes.objects import SERVICE
from inference_provider.workspace.logged import LogQuery
from tests.conformance.labs import SERVER, KubernetesLab, wait_until

pytestmark = pytest.mark.cluster
NAME = "kubernetes.default.svc.cluster.local"
LOOK = """
import os, socket, threading, time
def asked(authority):
    host, _, port = os.environ["HTTPS_PROXY"].removeprefix("http://").rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=2) as opened:
            opened.settimeout(8)
            opened.sendall(f"CONNECT {authority} HTTP/1.1\\r\\nhost: any\\r\\n\\r\\n".encode())
            return opened.recv(4096).split()[1].decode()
    except OSError:
        return "shut"
def reached(host, port):
    try:
        socket.create_connection((host, port), timeout=2).close()
        return "reached"
    except OSError:
        return "shut"
def look():
    while True:
        print("looked", asked("NAME:443"), asked("NAME:8443"), asked("ADDRESS:443"),
              asked("169.254.169.254:80"), reached("ADDRESS", 443), flush=True)
        time.sleep(0.3)
if "HTTPS_PROXY" in os.environ:
    threading.Thread(target=look, daemon=True).start()
"""


def last_look(lab) -> tuple[str, str]:
    """Return the pod that looked last, and what it saw; nothing while one ends."""
    try:
        lines = [
            f"{one.instance}: {one.text}"
            for one in lab.ports.compute.logs(lab.of(Kind.DEPLOYMENT).id, LogQuery(lines=1))
        ]
    except TargetError:
        return "", ""
    pod, _, looked = lines[-1].partition(": looked ")
    return pod, looked


def sees(lab, pod: str, looked: str) -> None:
    """Wait until the pod sees that; policies take a cluster's plugin a moment."""
    until_s = time.monotonic() + 40
    while (found := last_look(lab)) != (pod, looked) and time.monotonic() < until_s:
        time.sleep(0.3)
    assert found == (pod, looked)


def rule(**more):
    return [{"name": "api", "destination": NAME, **more}]


def test_a_list_lets_pods_out_to_its_names_alone_and_changes_in_place(tmp_path, monkeypatch):
    platform = KubernetesLab.open(tmp_path)
    address = platform.client.get(SERVICE, "default", "kubernetes")["spec"]["clusterIP"]
    server = tmp_path / "looks.py"
    look = LOOK.replace("NAME", NAME).replace("ADDRESS", address)
    server.write_text(look + SERVER.read_text())
    monkeypatch.setattr(KubernetesLab, "server", server)
    lab = KubernetesLab(platform, tmp_path, f"list{os.getpid()}")
    closed = {"egress": "disabled", "cluster": {"network_policies": "enforced"}}
    try:
        lab.up()
        lab.apply(lab.space(**closed))
        wait_until(lambda: last_look(lab)[1] == "shut shut shut shut shut")
        before = last_look(lab)[0]

        private = rule(allow_private_addresses=True)
        lab.apply(lab.space(**closed, outbound_rules=private))
        sees(lab, before, "200 403 403 403 shut")
        lab.apply(lab.space(**closed, outbound_rules=rule()))
        sees(lab, before, "403 403 403 403 shut")
        assert lab.ask() == 200
        lab.apply(lab.space(**closed))
        sees(lab, before, "shut shut shut shut shut")

        lab.apply(lab.space(**closed, outbound_rules=private))
        platform.client.delete(SERVICE, lab.ports.records.namespace, "inference-egress")
        lab.apply(lab.space(**closed, outbound_rules=private))
        told = "its pods know an earlier address of the forward proxy; the next `up` replaces them"
        assert lab.ports.compute.status().altered == {"iris/blue": (told,)}
        lab.apply(lab.of(Kind.DEPLOYMENT))
        wait_until(lambda: last_look(lab)[1] == "200 403 403 403 shut")
        assert last_look(lab)[0] != before
        assert lab.ports.compute.status().altered == {}
    finally:
        lab.close()
        lab.platform.close()
