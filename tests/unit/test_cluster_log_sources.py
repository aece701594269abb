"""Which logs a workspace in a cluster has, as its API tells of pods."""

import time

from tests.cluster_api import ClusterApi, client_of

from inference_provider.targets.kubernetes.kept_alerts import KeptAlerts
from inference_provider.targets.kubernetes.log_sources import LogSources
from inference_provider.targets.log_tail import Position
from inference_provider.workspace.log_rows import TYPE


def pod(name: str, role: str, state: dict, **more) -> dict:
    labels = {"pulumi-inference/workspace": "demo", "pulumi-inference/role": role}
    labels |= {f"pulumi-inference/{name}": value for name, value in more.items()}
    about = {"name": name, "namespace": "lab", "labels": labels}
    told = [{"name": "server", "state": state, "restartCount": 0}]
    status = {"phase": "Running", "containerStatuses": told}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": about, "status": status}


def lab() -> tuple[ClusterApi, LogSources]:
    api = ClusterApi()
    client = client_of(api)
    kept = KeptAlerts(client, "lab", "demo")
    return api, LogSources(client, client_of(api), "lab", "demo", kept)


def names(sources: LogSources) -> list[str]:
    return [one.name for one in sources()]


def test_pods_of_the_router_and_servers_that_have_begun_have_logs():
    api, sources = lab()
    client = client_of(api)
    blue = {"endpoint": "iris", "deployment": "blue", "object": "iris-blue-ab"}
    for one in (
        pod("inference-router-1", "router", {"running": {}}),
        pod("iris-blue-ab-1", "instance", {"running": {}}, **blue),
        pod("iris-blue-ab-2", "instance", {"waiting": {"reason": "ContainerCreating"}}, **blue),
        pod("inference-service-1", "service", {"running": {}}),
    ):
        client.apply(one)
    assert names(sources) == [
        "router/inference-router-1",
        "events",
        "logs/iris/blue/iris-blue-ab-1/uid-2",
    ]


def test_a_router_s_log_is_kept_in_mind_while_its_pod_is_started_again():
    api, sources = lab()
    client_of(api).apply(pod("inference-router-1", "router", {"terminated": {}}))
    known = Position(inode=1, offset=2, head="ab")
    [router, _] = sources()
    assert router.tail(known, 100_000, 10) == ([], known, known, 0, False)
    assert not [asked for asked in api.requests if "proxy" in asked]


def test_the_log_of_a_router_s_pod_that_was_evicted_is_gone_though_the_pod_is_listed():
    api, sources = lab()
    evicted = pod("inference-router-1", "router", {"terminated": {}})
    evicted["status"]["phase"] = "Failed"
    client_of(api).apply(evicted)
    assert names(sources) == ["events"]


def test_lines_of_a_server_are_rows_with_their_own_time():
    api, sources = lab()
    blue = {"endpoint": "iris", "deployment": "blue", "object": "iris-blue-ab"}
    client_of(api).apply(pod("iris-blue-ab-1", "instance", {"running": {}}, **blue))
    api.logs["iris-blue-ab-1"] = "2026-11-28T06:00:01.250000000Z scored\n"
    [_, printed] = sources()
    until_s = time.monotonic() + 10
    while not (lines := printed.tail(None, 100_000, 10).lines) and time.monotonic() < until_s:
        time.sleep(0.02)
    [line] = lines
    row = printed.row(line)
    assert row[TYPE] == "AmlOnlineEndpointConsoleLog"
    assert (row["TimeGenerated"], row["Message"]) == ("2026-11-28T06:00:01.250+00:00", "scored")
    assert (row["DeploymentName"], row["InstanceId"]) == ("blue", "iris-blue-ab-1")
