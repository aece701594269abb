"""Calls and events of a workspace in a real cluster, which stay for so many days."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.kept_alerts import KeptAlerts
from inference_provider.targets.kubernetes.objects import DEPLOYMENT, POD, selector
from tests import cluster_host
from tests.cluster.failing import FailingLab
from tests.cluster.loaded import loaded
from tests.cluster.places import ours
from tests.cluster.test_replaced_image import pods
from tests.cluster.test_traces import status
from tests.conformance.labs import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(540)]
OLD = datetime.now(UTC) - timedelta(days=100)


def old_calls(lab) -> list[Path]:
    """Return an older access log of each pod of the router, as the kubelet's processes see it."""
    if Path(cluster_host.KUBECONFIG) != ours().kubeconfig:
        pytest.skip("the files of another cluster's pods are not on this machine")
    chosen = selector(names.selecting(lab.workspace, names.ROUTER))
    kubelet = Path("/proc", ours().pid.read_text().split()[0], "root", *ours().run.parts[1:])
    volume = "volumes/kubernetes.io~empty-dir/router/envoy/access.log.1"
    found = lab.platform.client.items(POD, lab.workspace, chosen)
    return [kubelet / "kubelet" / "pods" / pod["metadata"]["uid"] / volume for pod in found]


def write_old(file: Path) -> None:
    file.write_text(json.dumps({"ts": OLD.isoformat()}) + "\n")
    os.utime(file, (OLD.timestamp(), OLD.timestamp()))


def test_calls_and_events_that_are_older_than_is_declared_go_and_newer_ones_stay():
    with loaded("aging", kind=FailingLab) as lab:
        before, calls = pods(lab, "router"), old_calls(lab)
        for file in calls:
            write_old(file)
        few = {"retention_days": 30, "retention_of": ["traffic", "events"]}
        lab.apply(lab.space(logs=few))
        wait_until(lambda: "workspace service runs" in status(lab), 60)
        kept = KeptAlerts(lab.platform.client, lab.workspace, lab.workspace)
        kept.begin()
        kept.tell("iris", "AlertFired", "of now")
        kept._events.appendleft(
            json.dumps({"time": OLD.isoformat(), "deployment": "iris", "instance": "",
                        "name": "AlertFired", "message": "of long ago"})
        )  # fmt: skip
        kept.write("{}")
        assert "calls stay for 30 days" in status(lab)
        wait_until(lambda: not any(file.exists() for file in calls), 60)
        wait_until(lambda: [one.message for one in kept.events()] == ["of now"], 60)
        assert pods(lab, "router") == before
        lab.apply(lab.space())
        assert "calls stay" not in status(lab)
        service = lab.platform.client.get(DEPLOYMENT, lab.workspace, names.SERVICE_NAME)
        assert service is None
