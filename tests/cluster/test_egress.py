"""An instance without a way out serves, and reaches nothing."""

import os

import pytest

from inference_provider.targets.kubernetes.objects import SERVICE
from inference_provider.workspace.logged import LogQuery
from tests.conformance.labs import SERVER, KubernetesLab, wait_until

pytestmark = pytest.mark.cluster

OUT = """
import os, socket, threading, time
def reached(host, port):
    try:
        socket.create_connection((host, port), timeout=2).close()
        return "reached"
    except OSError as fault:
        return type(fault).__name__
def look():
    while True:
        found = [reached("OUTSIDE", PORT), reached("inference-content", 8080)]
        print("looked", *found, flush=True)
        time.sleep(0.3)
threading.Thread(target=look, daemon=True).start()
"""


def last_looks(lab):
    """Return what the pods of each generation reached last."""
    id_, found = lab.of("Deployment").id, {}
    for pod, line, _ in lab.ports.compute.logs(id_, LogQuery(lines=1)):
        looked = line.partition("looked ")[2]
        found[pod.rpartition("-")[0].rpartition("-")[0]] = looked
    return found


def test_an_instance_without_a_way_out_fetches_its_content_and_reaches_nothing_else(
    tmp_path, monkeypatch
):
    platform = KubernetesLab.open(tmp_path)
    client = platform.client
    outside = client.get(SERVICE, "default", "kubernetes")["spec"]
    look = OUT.replace("OUTSIDE", outside["clusterIP"])
    look = look.replace("PORT", str(outside["ports"][0]["port"]))
    server = tmp_path / "looks.py"
    server.write_text(look + SERVER.read_text())
    monkeypatch.setattr(KubernetesLab, "server", server)
    lab = KubernetesLab(platform, tmp_path, f"out{os.getpid()}")
    policies = {"network_policies": "enforced"}
    try:
        lab.up()
        [before] = last_looks(lab)
        wait_until(lambda: last_looks(lab)[before] == "reached reached")

        lab.apply(lab.space(cluster=policies))
        lab.apply(lab.deployment(egress_public_network_access="disabled"))
        assert lab.ask() == 200
        [after] = last_looks(lab).keys() - {before}
        wait_until(lambda: last_looks(lab)[after] == "ConnectionRefusedError reached")
    finally:
        lab.close()
        lab.platform.close()
