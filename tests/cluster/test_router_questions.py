"""Who may put questions to the pods of a router, whose port any pod of the cluster reaches."""

import os

import httpx
import pytest

from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.objects import SECRET, name_of
from inference_provider.targets.kubernetes.pods import address_of
from inference_provider.workspace.logged import CallQuery
from tests.cluster.test_web_bounds import seen_by
from tests.cluster.test_web_kept import Bare
from tests.conformance.labs import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(280)]
GONE = f"Secret {names.QUESTIONS_NAME} is gone"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("questions")
    lab = Bare(Bare.open(folder), folder, f"questions{os.getpid()}")
    try:
        lab.up()
        yield lab
    finally:
        lab.close()
        lab.platform.close()


def called(lab: Bare) -> list[str]:
    """Return the ids of the last calls, as `inferctl logs --table traffic` asks for them."""
    found = lab.platform.router(lab.workspace).calls(CallQuery(last=50))
    return [call["request_id"] for call in found]


def call(lab: Bare, name: str) -> None:
    url, headers = f"{lab.router_url}/endpoints/iris/score", {"x-request-id": name}
    httpx.post(url, headers=headers, timeout=10, trust_env=False)


def fault(lab: Bare) -> str:
    return lab.platform.router(lab.workspace).status().fault


def router_pods(lab: Bare) -> list:
    return lab.platform.router(lab.workspace).pods.all()


def test_a_pod_of_another_namespace_asks_nothing_of_a_router_that_answers_its_clients(
    lab, api, namespace
):
    call(lab, "first")
    wait_until(lambda: "first" in called(lab), 30)  # the log is written every ten seconds
    at = f"http://{address_of(router_pods(lab)[0])}:{names.SYNC_PORT}"
    query = {"ask": "calls", "query": {"last": 50}}
    around = {"ask": "is_connected", "backends": [{"host": "10.0.0.1", "port": 443}]}
    _, found = seen_by(
        api,
        lab,
        namespace,
        asked=[
            ("POST", f"{at}/ask?calls", query),
            ("POST", f"{at}/ask?connected", around),
            ("POST", f"{at}/ask?unknown", {"ask": "x"}),
            ("GET", f"{at}/in-flight", None),
        ],
    )
    assert [*found.values()] == [403, 403, 403, 200]


def test_a_deleted_secret_is_told_and_another_one_is_in_force_without_another_pod(lab):
    client, pods = lab.platform.client, sorted(map(name_of, router_pods(lab)))
    before = client.get(SECRET, lab.workspace, names.QUESTIONS_NAME)
    assert before["type"] == "pulumi-inference/pass"
    client.delete(SECRET, lab.workspace, names.QUESTIONS_NAME)
    assert GONE in fault(lab)
    lab.apply(lab.served())
    wait_until(lambda: fault(lab) == "", 30)
    after = client.get(SECRET, lab.workspace, names.QUESTIONS_NAME)
    assert after["data"] != before["data"]
    call(lab, "second")
    wait_until(lambda: "second" in called(lab), 30)
    assert sorted(map(name_of, router_pods(lab))) == pods
