"""What watches tell of instances, and that who waits relies on no watch alone."""

import time

import pytest
from tests.cluster_api import ClusterApi, client_of, failure

from inference_provider.targets.kubernetes import followed as under_test
from inference_provider.targets.kubernetes.followed import Followed
from inference_provider.targets.kubernetes.objects import POD, name_of

PODS = "/api/v1/namespaces/lab/pods"
ROLE = "pulumi-inference/role"
BLUE, GREEN = "iris/blue", "iris/green"


def pod(name, deployment=BLUE):
    endpoint, _, deployed = deployment.partition("/")
    labels = {ROLE: "instance", "pulumi-inference/endpoint": endpoint}
    labels["pulumi-inference/deployment"] = deployed
    about = {"name": name, "namespace": "lab", "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": about}


@pytest.fixture
def api(monkeypatch):
    monkeypatch.setattr(under_test, "_PAUSE_S", 0.01)
    monkeypatch.setattr(under_test, "LINGER_S", 0.0)
    made = ClusterApi()
    made.watch_s = 0.5
    return made


@pytest.fixture
def followed(api):
    return Followed(client_of(api), "lab", f"{ROLE}=instance", (POD,))


def until(question):
    deadline = time.monotonic() + 5
    while not question():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def names(followed, deployment=BLUE):
    return sorted(name for _, name in followed.there(deployment, {}) or {})


def test_what_there_is_and_what_changes_is_known(api, followed):
    api.put(f"{PODS}/one", pod("one"))
    with followed.news(BLUE) as news:
        until(lambda: names(followed) == ["one"])
        news.clear()
        api.put(f"{PODS}/two", pod("two"))
        assert news.wait(5)
        assert names(followed) == ["one", "two"]
        api.drop(f"{PODS}/one")
        until(lambda: names(followed) == ["two"])


def test_who_waits_for_one_deployment_hears_nothing_of_others(api, followed):
    with followed.news(BLUE) as news, followed.news(GREEN) as others:
        until(lambda: followed.there(BLUE, {}) is not None)
        others.clear()
        news.clear()
        api.put(f"{PODS}/two", pod("two", GREEN))
        assert others.wait(5)
        assert not news.is_set()
        assert names(followed) == []
        assert names(followed, GREEN) == ["two"]


def test_many_that_wait_share_one_list_and_one_watch(api, followed):
    api.watch_s = 3600
    with followed.news(BLUE), followed.news(GREEN), followed.news("iris/red"):
        until(lambda: followed.there(BLUE, {}) is not None)
        until(lambda: len(api.requests) == 2)
        assert api.requests == [f"GET {PODS}"] * 2
        api.put(f"{PODS}/one", pod("one"))


def test_what_is_older_than_what_was_applied_is_not_known(api, followed):
    made = api.put(f"{PODS}/one", pod("one"))
    with followed.news(BLUE):
        until(lambda: followed.there(BLUE, {}) is not None)
        version = int(made["metadata"]["resourceVersion"])
        assert followed.there(BLUE, {POD: version}) is not None
        assert followed.there(BLUE, {POD: version + 1}) is None


def test_nothing_is_known_while_the_api_server_does_not_tell(api, followed):
    with followed.news(BLUE):
        until(lambda: followed.there(BLUE, {}) is not None)
        api.refuse = lambda _asked: failure(403, "pods is forbidden")
        until(lambda: followed.there(BLUE, {}) is None)
        api.refuse = lambda _asked: None
        until(lambda: followed.there(BLUE, {}) is not None)


def test_nothing_is_followed_once_nobody_waits(api, followed):
    with followed.news(BLUE):
        until(lambda: followed.there(BLUE, {}) is not None)
    until(lambda: followed.there(BLUE, {}) is None)
    asked = len(api.requests)
    time.sleep(0.1)
    assert len(api.requests) == asked


def test_what_is_known_stays_known_between_two_that_wait(api, followed, monkeypatch):
    monkeypatch.setattr(under_test, "LINGER_S", 30.0)
    api.watch_s = 0.05
    with followed.news(BLUE):
        until(lambda: followed.there(BLUE, {}) is not None)
    time.sleep(0.2)
    assert followed.there(BLUE, {}) is not None
    monkeypatch.setattr(under_test, "LINGER_S", 0.0)


def test_names_of_objects_are_those_of_the_api(api, followed):
    api.put(f"{PODS}/one", pod("one"))
    with followed.news(BLUE):
        until(lambda: names(followed) == ["one"])
        [found] = followed.there(BLUE, {}).values()
        assert (found["kind"], name_of(found)) == ("Pod", "one")
