"""Logs of an instance's pods, by Azure ML's names of their containers."""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from functools import partial

from inference_provider.errors import TargetError
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.content_manifests import FETCHER
from inference_provider.targets.kubernetes.instance_manifests import SERVER
from inference_provider.targets.kubernetes.objects import Object, name_of
from inference_provider.targets.merged import merged
from inference_provider.targets.starting import no_logs
from inference_provider.workspace.logged import LogLine, LogQuery

_CONTAINERS = {"inference-server": SERVER, "storage-initializer": FETCHER}


def pod_logs(
    client: Client, namespace: str, pods: Collection[Object], deployment: str, query: LogQuery
) -> Iterator[LogLine]:
    """Yield the last lines of each pod; when following, those of all as they come.

    Args:
        client: Its cluster.
        namespace: Where they are.
        pods: Those of the deployment.
        deployment: As an error calls it.
        query: Which lines.

    Raises:
        TargetError: There is no such pod, or none with such a container.
    """
    wanted = [pod for pod in pods if query.wants(name_of(pod))]
    if not wanted:
        raise no_logs(deployment, query.instance)
    container = _CONTAINERS[query.container]
    names = sorted(name_of(pod) for pod in wanted if container in _containers_of(pod))
    if not names:
        reason = f"its pods have no {query.container}: what they serve is in their image"
        raise TargetError("read the logs of", deployment, reason, "leave --container out")
    asked = _asked(container, query)
    sources = [partial(_lines, client, namespace, name, asked) for name in names]
    if query.follow:
        yield from merged(sources)
    else:
        for source in sources:
            yield from source()


def _asked(container: str, query: LogQuery) -> dict[str, str]:
    asked = {"container": container, "tailLines": str(query.lines), "timestamps": "true"}
    asked |= {"follow": "true"} if query.follow else {}
    if query.since:
        asked["sinceTime"] = query.since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return asked


def _containers_of(pod: Object) -> list[str]:
    spec = pod["spec"]
    return [
        one["name"] for kind in ("initContainers", "containers") for one in spec.get(kind) or ()
    ]


def _lines(client: Client, namespace: str, pod: str, asked: dict[str, str]) -> Iterator[LogLine]:
    for line in client.logs(namespace, pod, **asked):
        time, _, text = line.partition(" ")
        try:
            yield LogLine(pod, text, datetime.fromisoformat(time))
        except ValueError:  # of the kubelet: the log is gone, as it says
            yield LogLine(pod, line)
