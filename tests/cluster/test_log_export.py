"""Logs of a workspace in a real cluster, sent to a collector that its pods reach."""

import threading
import time
from collections import Counter

import httpx
import pytest

from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.objects import (
    CONFIG_MAP,
    DEPLOYMENT,
    POD,
    name_of,
    selector,
)
from tests.cluster.collectors import Away, collecting
from tests.cluster.failing import FailingLab
from tests.cluster.loaded import MANY, loaded
from tests.cluster.test_replaced_image import pods
from tests.cluster.test_traces import status
from tests.conformance.labs import SERVER, KubernetesLab, wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(540)]
CALLS, EVENTS = "AmlOnlineEndpointTrafficLog", "AmlOnlineEndpointEventLog"
CONSOLE = "AmlOnlineEndpointConsoleLog"
PRINTS = SERVER.read_text().replace(
    "    def do_GET(self):",
    """    def do_GET(self):
        if self.command == "POST":
            said = f"asked {self.headers.get('x-request-id')}\\n"
            print(said, end="", flush=True)  # at once: others print beside""",
)


class PrintingLab(FailingLab):
    """Its instances print the id of each request."""

    program = PRINTS


def every_pod(lab, role: str) -> list[str]:
    """Return the names of the pods of a role, of those too that end."""
    chosen = selector(names.selecting(lab.workspace, role))
    return [name_of(pod) for pod in lab.platform.client.items(POD, lab.workspace, chosen)]


def called(away: Away) -> list[str]:
    return [row["XRequestId"] for row in away.rows(CALLS)]


def asked(away: Away) -> list[str]:
    said = (row["body"].split() for row in away.rows(CONSOLE))
    return [one[1] for one in said if one[:1] == ["asked"]]


class Asking:
    """One request after the other, some twenty in a second, each with an id of its own."""

    def __init__(self, lab: KubernetesLab) -> None:
        self.answers: dict[str, int] = {}
        self._url = f"{lab.router_url}/endpoints/iris/score"
        self._key = lab.keys()[0]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        with httpx.Client(timeout=20, trust_env=False) as client:
            while not self._over.wait(0.03):
                name = f"r{len(self.answers)}"
                headers = {"authorization": f"Bearer {self._key}", "x-request-id": name}
                self.answers[name] = client.post(self._url, headers=headers).status_code


def test_no_line_is_lost_over_a_collector_that_is_away_and_pods_that_go(api):
    with loaded("logs", kind=PrintingLab) as lab, collecting(api, lab.workspace) as away:
        assert isinstance(lab, PrintingLab)
        blue = lab.deployment("blue", request_settings=MANY, environment_variables={"A": "1"})
        lab.apply(blue)
        asking = Asking(lab)
        asking.begin()
        lab.apply(lab.space(logs={"otlp_endpoint": away.url}))
        wait_until(lambda: f"logs wait for {away.url} since " in status(lab), 90)
        away.comes()
        wait_until(lambda: len(asked(away)) > 50 and len(called(away)) > 50, 90)
        wait_until(lambda: f"logs go to {away.url}" in status(lab), 30)

        [service] = lab.service()
        api.delete(f"/api/v1/namespaces/{lab.workspace}/pods/{service}")  # killed
        wait_until(lambda: lab.service() not in ([], [service]), 90)
        router = min(pods(lab, "router"))
        lab.end(router)
        wait_until(lambda: router not in every_pod(lab, names.ROUTER), 120)
        away.goes()
        wait_until(lambda: f"logs wait for {away.url} since " in status(lab), 60)
        away.comes()
        before = len(asked(away))
        wait_until(lambda: len(asked(away)) > before + 50, 90)
        # another generation: the pods of before go with their logs
        lab.apply(lab.deployment("blue", request_settings=MANY))
        asking.end()
        every = {*asking.answers}
        assert {*asking.answers.values()} == {200}
        until_s = time.monotonic() + 60
        while every - {*called(away)} or every - {*asked(away)}:
            lacking = [sorted(every - {*found}) for found in (called(away), asked(away))]
            assert time.monotonic() < until_s, (lacking, status(lab))
            time.sleep(0.5)
        assert {"Created", "Started"} <= {row["Name"] for row in away.rows(EVENTS)}
        assert [row["body"] for row in away.rows("LinesLost")] == []
        assert "lost" not in status(lab)
        for found in (called(away), asked(away)):
            assert sum(times > 1 for times in Counter(found).values()) <= 2000
        assert {one["service.instance.id"] for one in away.every[-1].resources} == {lab.workspace}
        lab.apply(lab.space())
        client = lab.platform.client
        assert client.get(DEPLOYMENT, lab.workspace, names.SERVICE_NAME) is None
        assert client.get(CONFIG_MAP, lab.workspace, names.LOGS_NAME) is None
