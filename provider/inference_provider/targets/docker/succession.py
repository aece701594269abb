"""Whether a new router may take over from the one that serves: what it has to reach for that."""

from collections import Counter
from collections.abc import Iterator, Mapping

from inference_provider.router.table import EndpointEntry
from inference_provider.targets.docker import names
from inference_provider.targets.docker.host import DockerHost

_TRIES, _TRIED_EVERY_S = 3, 1.0
"""How often Envoy asks an instance until one that is silent hangs, and how soon again."""


def running(host: DockerHost, workspace: str) -> Counter[str]:
    """Count the instances that can be healthy; a router counts longer what was removed."""
    asked = names.selecting(workspace, names.INSTANCE)
    listed = host.containers({**asked, "status": ["running"]})
    found = (one for one in listed if names.is_instance(one) and names.is_connected(one))
    return Counter(one["Labels"][names.DEPLOYMENT] for one in found)


def behind(
    endpoints: tuple[EndpointEntry, ...],
    wanted: Mapping[str, int],
    found: Mapping[str, int],
    spent_s: float,
) -> Iterator[str]:
    """Yield the deployments of which a new router knows too few healthy instances.

    One is enough once all were asked several times: the old one counts what hangs for minutes.

    Args:
        endpoints: What both serve.
        wanted: How many the old one knows that run.
        found: How many the new one knows.
        spent_s: How long it has been asking, seconds.
    """
    for name, one in ((f"{e.name}/{d.name}", d) for e in endpoints for d in e.deployments):
        asked_enough = spent_s > _TRIES * (one.health_timeout_ms / 1000 + _TRIED_EVERY_S)
        count = wanted.get(name, 0)
        if found.get(name, 0) < (min(count, 1) if asked_enough else count):
            yield name
