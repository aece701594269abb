"""What all pods of a cluster's router have counted of deployments together, for rollouts.

A pod counts for itself, from 0 when its container starts; so growth is of each, and added up. What
one has counted goes with it, so nothing is ever subtracted.
"""

from collections.abc import Collection, Mapping
from functools import partial

from inference_provider.canary import Counts
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.objects import POD, Object, name_of, selector
from inference_provider.targets.kubernetes.pods import is_ready, is_running, restarts_of
from inference_provider.targets.kubernetes.router_questions import RouterQuestions
from inference_provider.targets.request_counts import Cumulative, RequestCounts

Told = Mapping[str, Counts]
"""What one process has counted, by deployment."""


class PodCounts:
    """Asks the pods of one workspace's router, again and again.

    Args:
        client: Its cluster.
        workspace: Its name.
        namespace: Where it is.
    """

    def __init__(self, client: Client, workspace: str, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._chosen = selector(names.selecting(workspace, names.ROUTER))
        self._questions = RouterQuestions(client, namespace)
        self._sum = Sum()

    def __call__(self, deployments: Collection[str]) -> Mapping[str, Counts] | None:
        """Return what was counted since the first look; None where not all of it is known.

        Args:
            deployments: `<endpoint>/<deployment>`, those that are asked for.

        Raises:
            TargetError: The API server does not tell which pods there are.
        """
        pods = self._client.items(POD, self._namespace, self._chosen)
        asked = {name_of(pod): pod for pod in pods if is_ready(pod) or is_running(pod)}
        told = self._questions.side_by_side(
            asked, lambda pod: RequestCounts(partial(self._counted, pod))(deployments)
        )
        self._sum.add({_process(pod): told.get(name_of(pod)) for pod in pods})
        ready = [name for name, pod in asked.items() if is_ready(pod)]
        if not ready or any(told[name] is None for name in ready):
            return None
        return self._sum.of(deployments)

    def _counted(self, pod: str, pattern: str) -> tuple[Mapping[str, int], Cumulative]:
        counters, histograms = self._questions.ask(pod, "counted", pattern=pattern)
        return counters, {name: tuple(map(tuple, steps)) for name, steps in histograms.items()}


def _process(pod: Object) -> str:
    """Return a name that no other run of a router has."""
    return f"{pod['metadata'].get('uid', name_of(pod))}/{restarts_of(pod, names.ROUTER)}"


class Sum:
    """What several processes have counted, since the first look at each deployment.

    Of a process that was not there at the look before, all that it has counted is new. Of one that
    did not tell then, and never has, nothing is known: it may be of any time.
    """

    def __init__(self) -> None:
        self._told: dict[str, dict[str, Counts] | None] | None = None
        """What each process said last, by its name: nothing yet of one that has come since, None of
        one that was there before; None of all before the first look."""
        self._known: set[str] = set()
        """The deployments that were asked for before."""
        self._sum: dict[str, Counts] = {}

    def add(self, now: Mapping[str, Told | None]) -> None:
        """Add what was counted since the look before.

        Args:
            now: What each process that there is says now; None of one that does not tell.
        """
        before, self._told = self._told, {}
        for process, told in now.items():
            is_new = before is not None and process not in before
            last = (before or {}).get(process)
            if told is None:
                self._told[process] = {} if is_new else last
                continue
            first = Counts() if is_new or last == {} else None
            for name, one in told.items():
                since = (last or {}).get(name, first if name in self._known else None)
                if since is not None and not _has_lost(since, one):
                    self._sum[name] = _plus(self._sum.get(name, Counts()), since, one)
            self._told[process] = {**(last or {}), **told}
        self._known |= {name for told in now.values() for name in told or ()}

    def of(self, deployments: Collection[str]) -> dict[str, Counts]:
        """Return what was counted of some deployments."""
        return {name: self._sum.get(name, Counts()) for name in deployments}


def _has_lost(before: Counts, now: Counts) -> bool:
    """Whether a process has forgotten some, as of a deployment that it had not known for a while.

    What it says then counts from here on.
    """
    return now.requests < before.requests or now.timed < before.timed


def _plus(whole: Counts, before: Counts, now: Counts) -> Counts:
    """Return counts with what was counted in between."""
    steps, earlier = dict(whole.within), dict(before.within)
    for limit, count in now.within:
        steps[limit] = steps.get(limit, 0) + count - earlier.get(limit, 0)
    return Counts(
        requests=whole.requests + now.requests - before.requests,
        failed=whole.failed + now.failed - before.failed,
        timed=whole.timed + now.timed - before.timed,
        refused=whole.refused + now.refused - before.refused,
        within=tuple(sorted(steps.items())),
    )
