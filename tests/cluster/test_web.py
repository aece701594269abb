"""Tokens over HTTP from a pod of a real cluster, by which its router lets callers in."""

import os
import re
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import httpx
import pytest

from inference_provider.access import Principal
from inference_provider.desired import DesiredResource
from inference_provider.drift import drift
from inference_provider.observed import Kind
from inference_provider.spec import RoleAssignmentSpec
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.objects import (
    DEPLOYMENT,
    POD,
    ROLE,
    SERVICE,
    SERVICE_ACCOUNT,
    Object,
    name_of,
    selector,
)
from inference_provider.targets.kubernetes.pods import is_ready
from tests.conformance.labs import ANN, KubernetesLab, wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(280)]

GIVES_TOKENS = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/token/action"
ROLES = {"Caller": {"actions": [GIVES_TOKENS]}}
PORT = 18443


class Lab(KubernetesLab):
    """A workspace whose endpoint takes tokens, which ben may get."""

    def served(self, **fields) -> DesiredResource:
        return self.space(**{"service": {"port": PORT}, "roles": ROLES, **fields})

    @property
    def calls(self) -> DesiredResource:
        fields = {"name": "ben-calls", "principal": "ben", "principal_type": "user"}
        spec = RoleAssignmentSpec(
            workspace=self.workspace, role="Caller", scope="endpoints/iris", **fields
        )
        return DesiredResource(
            id=self.id(Kind.ROLE_ASSIGNMENT, "ben-calls"), spec=spec, owner="demo"
        )

    def up(self) -> None:
        rest = (one for one in self.desired if one.id.kind not in (Kind.WORKSPACE, Kind.ENDPOINT))
        iris = self.endpoint(auth_mode="aml_token")
        self.desired = (self.served(), iris, *rest, self.calls)
        super().up()

    @property
    def url(self) -> str:
        there = self.platform.client.get(SERVICE, self.workspace, names.WEB_NAME)["spec"]
        return f"http://{there['clusterIP']}:{there['ports'][0]['port']}"

    @property
    def all_pods(self) -> list[Object]:
        chosen = selector(names.selecting(self.workspace, names.WEB))
        return self.platform.client.items(POD, self.workspace, chosen)

    @property
    def pods(self) -> list[str]:
        return [name_of(one) for one in self.all_pods if is_ready(one)]

    def of_workspace(self, who: str = "ben") -> str:
        wanted = Principal("user", who), (), timedelta(hours=1), ANN
        return self.target.desk(self.workspace).issue(*wanted).value.get_secret_value()

    def request(self, token: str, **given) -> httpx.Response:
        path = f"{self.url}/endpoints/iris/token"
        transport = httpx.HTTPTransport(retries=5)  # rules of nodes follow pods in a moment
        with httpx.Client(transport=transport, trust_env=False, timeout=10) as client:
            return client.post(path, headers=bearer(token), **given)

    def comes(self, token: str, status: int = 200) -> bool:
        try:
            return self.request(token).status_code == status
        except httpx.TransportError:
            return False

    @property
    def said(self) -> str:
        return self.target.observe_one(self.space().id).status


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("web")
    lab = Lab(Lab.open(folder), folder, f"web{os.getpid()}")
    try:
        lab.up()
        yield lab
    finally:
        lab.close()
        lab.platform.close()


def scored(lab: Lab, token: str) -> int:
    headers = bearer(token)
    url = f"{lab.router_url}/endpoints/iris/score"
    return httpx.post(url, headers=headers, trust_env=False, timeout=20).status_code


def test_a_caller_gets_a_token_scores_with_it_and_is_written_down(served):
    mine = served.of_workspace()
    wait_until(lambda: served.comes(mine))  # the key that signs is new
    answer = served.request(mine, json={"minutes": 10})
    assert answer.status_code == 200, answer.text
    token = answer.json()["accessToken"]
    assert scored(served, token) == 200
    assert served.request(token).status_code == 401
    assert scored(served, mine) == 403
    assert served.request(served.of_workspace("eve")).status_code == 403
    assert served.request("nonsense").status_code == 401
    found = served.target.journal(served.workspace)
    assert ("ben", "issue token") in {(one.actor.user, one.action) for one in found}
    url = f"http://inference-web.{served.workspace}.svc:{PORT}"
    assert served.said == f"router ready; service on {url}"
    there = served.target.observe([served.workspace])
    assert drift(served.desired, there, "demo").exit_code == 0


def test_a_role_that_is_taken_away_is_refused_within_a_second(served):
    mine = served.of_workspace()
    wait_until(lambda: served.comes(mine))
    served.delete(served.calls.id)
    time.sleep(1)
    try:
        assert served.request(mine).status_code == 403
    finally:
        served.apply(served.calls)
    time.sleep(1)
    assert served.request(mine).status_code == 200


def test_a_pod_that_is_deleted_or_killed_is_followed_by_another_one(served):
    mine = served.of_workspace()
    wait_until(lambda: served.comes(mine))
    token = served.request(mine).json()["accessToken"]
    [first] = served.pods
    served.platform.client.delete(POD, served.workspace, first)
    assert scored(served, token) == 200  # which needs none
    wait_until(lambda: served.pods not in ([], [first]), 60)
    wait_until(lambda: served.comes(mine), 60)
    assert scored(served, served.request(mine).json()["accessToken"]) == 200


def test_what_somebody_deletes_is_told_and_the_next_up_mends_it(served):
    client = served.platform.client
    client.delete(DEPLOYMENT, served.workspace, names.WEB_NAME)
    lost = f"the service on http://inference-web.{served.workspace}.svc:{PORT} does not run"
    wait_until(lambda: lost in served.said, 60)
    there = served.target.observe([served.workspace])
    assert drift(served.desired, there, "demo").exit_code == 2
    served.apply(served.served())
    assert served.comes(served.of_workspace())


def test_another_port_takes_over_without_a_failed_request(served):
    mine, codes = served.of_workspace(), []
    served.apply(served.served(service={"port": 443}))
    assert served.url.endswith(":443")
    wait_until(lambda: served.comes(mine))
    served.apply(served.served(tags={"team": "a"}, service={"port": 443}))
    codes += [served.request(mine).status_code for _ in range(5)]
    assert codes == [200] * 5
    served.apply(served.served())


def test_it_speaks_https_with_the_certificate_of_the_workspace(served):
    mine, name = served.of_workspace(), f"inference-web.{served.workspace}.svc"
    served.apply(served.served(tls={"generate": True}))
    trusted = served.target.observe_one(served.space().id).outputs["ca_certificate"]

    def status() -> int:
        context = ssl.create_default_context(cadata=trusted)
        with httpx.Client(verify=context, trust_env=False, timeout=10) as client:
            path = served.url.replace("http", "https") + "/endpoints/iris/token"
            asked = client.build_request("POST", path, headers=bearer(mine))
            asked.extensions["sni_hostname"] = name
            try:
                return client.send(asked).status_code
            except httpx.TransportError:
                return 0

    try:
        wait_until(lambda: status() == 200, 30)
        assert served.said == f"router ready; service on https://{name}:{PORT}"
        [pod] = served.pods
        assert status() == 200
        assert served.pods == [pod]
    finally:
        served.apply(served.served())
    wait_until(lambda: served.comes(mine), 30)


@contextmanager
def signed_in(lab: Lab, who: str) -> Iterator[httpx.Client]:
    """Yield a browser of somebody who is signed in by the Service's name."""
    host = f"inference-web.{lab.workspace}.svc:{PORT}"
    with httpx.Client(base_url=lab.url, trust_env=False, timeout=30) as client:
        client.headers.update({"host": host, "origin": f"http://{host}"})
        entered = client.post("/login", data={"token": lab.of_workspace(who)})
        assert entered.status_code == 303, entered.text
        client.headers["cookie"] = entered.headers["set-cookie"].partition(";")[0]
        yield client


def sends(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    token = re.search('name="form_token" value="([0-9a-f]{64})"', client.get("/").text)
    return client.post(path, data={"form_token": token[1], **fields})


def shares(lab: Lab) -> dict[str, int]:
    record = lab.target.record(lab.id(Kind.TRAFFIC, "iris"))
    return {name: share for name, share in record.properties["traffic"].items() if share}


def test_the_console_does_within_its_role_what_somebody_may(served):
    served.apply(served.served(service={"port": PORT, "console": True}))
    reads = RoleAssignmentSpec(
        workspace=served.workspace,
        name="ann-reads",
        principal="ann",
        principal_type="user",
        role="AzureML Data Scientist",
    )
    id_ = served.id(Kind.ROLE_ASSIGNMENT, "ann-reads")
    keyed = served.endpoint("keyed")
    served.apply(DesiredResource(id=id_, spec=reads, owner="demo"), keyed)
    green = served.deployment("green")
    served.apply(green)
    iris = f"/endpoints/{served.workspace}/iris"
    try:
        wait_until(lambda: len(served.all_pods) == 1, 60)  # the one without pages has gone
        mine = served.of_workspace()
        wait_until(lambda: served.comes(mine), 30)  # the key that signs may be new
        with signed_in(served, "ann") as client:
            shown = {path: client.get(path) for path in ("/", iris, f"{iris}/logs")}
            assert {(one.status_code, "iris" in one.text) for one in shown.values()} == {
                (200, True)
            }
            assert 'class="fault"' not in shown[iris].text
            answer = sends(client, f"{iris}/test", body="{}")
            assert (answer.status_code, "x-request-id" in answer.text) == (200, True), answer.text
            key = served.keys("keyed")[0]
            path = f"/endpoints/{served.workspace}/keyed/consume"
            assert key not in client.get(path).text
            assert key in sends(client, path).text
            split = {"share.blue": "40", "share.green": "60"}
            planned = re.search(
                'name="plan" value="([^"]+)"', sends(client, f"{iris}/split", **split).text
            )
            assert shares(served) == {"blue": 100}
            applied = sends(client, f"{iris}/split/apply", plan=planned[1])
            assert applied.status_code == 303, applied.text
            assert shares(served) == {"blue": 40, "green": 60}
            assert client.get(f"/journal/{served.workspace}").status_code == 403
            wrong = client.get("/", headers={"host": "evil.example.org"})
            assert wrong.status_code == 421
        mine = {
            one.action for one in served.target.journal(served.workspace) if one.actor.user == "ann"
        }
        assert {"sign in to", "read keys", "update"} <= mine
    finally:
        served.apply(served.traffic(blue=100))
        for one in (green.id, keyed.id, id_):
            served.delete(one)
        served.apply(served.served())


def test_a_stop_and_a_workspace_without_it_leave_nothing_of_it(served):
    kinds = (DEPLOYMENT, SERVICE, SERVICE_ACCOUNT, ROLE)
    client = served.platform.client

    def left() -> list[str]:
        return [k.name for k in kinds if client.get(k, served.workspace, names.WEB_NAME)]

    served.target.stop(served.workspace, ANN)
    assert left() == []
    assert served.pods == []
    served.target.start(served.workspace, ANN)
    assert len(left()) == 4
    wait_until(lambda: served.comes(served.of_workspace()), 60)
    served.apply(served.served(service=None))
    assert left() == []
