"""Logs of pods, by the names that Azure ML has for their containers."""

from datetime import UTC, datetime

import pytest

from inference_provider.errors import TargetError
from inference_provider.targets.kubernetes.pod_logs import pod_logs
from inference_provider.workspace.logged import LogLine, LogQuery


class Client:
    def __init__(self) -> None:
        self.asked: dict[str, dict[str, str]] = {}

    def logs(self, namespace, pod, **asked):
        self.asked[f"{namespace}/{pod}"] = asked
        yield f"2026-11-27T12:00:00.123456789Z hello of {pod}"
        yield "unable to retrieve container logs"


def pod(name: str, *init: str) -> dict:
    spec = {"initContainers": [{"name": one} for one in init], "containers": [{"name": "server"}]}
    return {"metadata": {"name": name}, "spec": spec}


PODS = [pod("b"), pod("a", "storage-initializer")]


def read(client, pods=PODS, **asked) -> list[LogLine]:
    return list(pod_logs(client, "demo", pods, "iris/blue", LogQuery(**asked)))


@pytest.mark.parametrize("follow", [False, True])
def test_all_pods_are_read_and_followed_with_their_times(follow):
    client = Client()
    found = read(client, lines=7, follow=follow, since=datetime(2026, 11, 27, 11, tzinfo=UTC))
    time = datetime(2026, 11, 27, 12, 0, 0, 123456, UTC)
    told = [LogLine(n, f"hello of {n}", time) for n in "ab"]
    lost = [LogLine(n, "unable to retrieve container logs") for n in "ab"]
    assert sorted(found, key=str) == sorted([*told, *lost], key=str)
    asked = {
        "container": "server", "tailLines": "7", "timestamps": "true",
        **({"follow": "true"} if follow else {}), "sinceTime": "2026-11-27T11:00:00Z",
    }  # fmt: skip
    assert client.asked == {"demo/a": asked, "demo/b": asked}


def test_what_fetches_content_is_read_where_there_is_such_a_container():
    client = Client()
    read(client, container="storage-initializer")
    assert [*client.asked] == ["demo/a"]
    assert client.asked["demo/a"]["container"] == "storage-initializer"
    with pytest.raises(TargetError, match=r"its pods have no storage-initializer: what they serve"):
        read(client, [pod("b")], container="storage-initializer")


def test_a_pod_that_is_not_there_is_a_sentence():
    with pytest.raises(TargetError, match=r"iris/blue: there is no instance 'c'; run"):
        read(Client(), instance="c")
    with pytest.raises(TargetError, match=r"iris/blue: there are none"):
        read(Client(), [])
