"""A workspace service that hangs: its process is there, and looks no more."""

import json
import os
import signal

import pytest

from inference_provider.targets.heartbeat import beat_file, last_beat
from inference_provider.targets.local.service_process import SERVICE
from tests.local.conftest import Lab
from tests.local.server.model import until
from tests.ports import own_port

pytestmark = pytest.mark.local


def test_a_service_that_hangs_is_told_and_then_started_again(lab: Lab):
    lab.document["workspaces"][0]["metrics"] = {"port": own_port()}
    lab.up()
    file = beat_file(lab.state / "workspaces" / "lab")

    def pid() -> int:
        return lab.supervisor.processes()[SERVICE].pid

    def looks() -> bool:
        found = last_beat(file)
        return found is not None and found.pid == pid()

    def status() -> str:
        return " ".join(lab.said("status")[1].split())

    def loops() -> set[str]:
        found = last_beat(file)
        return {*found.loops} if found else set()

    until(looks, 60)
    until(lambda: loops() == {"alerts", "logs", "metrics", "requests that wait", "rollouts"})
    hung = pid()
    os.kill(hung, signal.SIGSTOP)
    found = last_beat(file)
    assert found
    file.write_text(json.dumps(found._replace(at_s=found.at_s - 40)._asdict()))  # 40 s later
    assert f"the workspace service hangs: it has not looked since {found.time}; its log" in status()
    file.write_text(json.dumps(found._replace(at_s=found.at_s - 200)._asdict()))
    until(lambda: pid() not in (0, hung), 90)
    until(looks, 60)
    assert "hangs" not in status()
    events = [(one.instance, one.name, one.message) for one in lab.target.events("lab")]
    said = f"The workspace service has not looked since {found.time}, will be restarted"
    assert (SERVICE, "Killing", said) in events
