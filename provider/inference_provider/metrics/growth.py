"""What the processes of a router have counted -> what all of them together have, and since when.

Each counts for itself, from 0 when it starts; so growth is of each, and then added up. Pure.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TypeVar

from inference_provider.router.counters import Bins, Counted, Deployment

Processes = Mapping[str, Counted | None]
"""What each process of a router has counted, by its name; None where one does not answer.

One that is started again under the same name may be seen as another: by another name.
"""
_NOTHING = Counted({}, {}, {}, {}, {}, connections=None, connected=0)
"""What a process has counted before it starts."""
_Key = TypeVar("_Key")


def there(now: Processes) -> Counted | None:
    """Return what those that answer have now: connections are of all, an instance is one.

    Each process looks by itself how healthy instances are, and sends requests to those that it
    finds so; the fewest is what all of them agree on.
    """
    answered = [one for one in now.values() if one is not None]
    if not answered:
        return None
    found: dict[Deployment, tuple[int, int]] = {}
    for one in answered:
        for of, (healthy, total) in one.instances.items():
            least, most = found.get(of, (healthy, total))
            found[of] = min(least, healthy), max(most, total)
    connections = _sum(one.connections for one in answered)
    return Counted({}, {}, {}, {}, found, connections, None)


def growth(before: Processes, now: Processes) -> Counted | None:
    """Return what was counted between two looks; None where that is known of no process.

    Of one that was not there before it is all that it has counted. Of one that did not answer
    before, nothing is known: its requests may be of any time. What one that is gone has counted
    since the look before is lost.
    """
    grown = [
        _grown(earlier, one)
        for name, one in now.items()
        if one is not None and (earlier := before.get(name, _NOTHING)) is not None
    ]
    return _added(grown) if grown else None


def _grown(before: Counted, now: Counted) -> Counted:
    latency = {of: _more(before.latency.get(of, {}), bins) for of, bins in now.latency.items()}
    connected = None
    if now.connected is not None and before.connected is not None:
        connected = _than(before.connected, now.connected)
    return Counted(
        requests=_more(before.requests, now.requests),
        model_errors=_more(before.model_errors, now.model_errors),
        bytes=_more(before.bytes, now.bytes),
        latency=latency,
        instances={},
        connections=None,
        connected=connected,
    )


def _added(some: list[Counted]) -> Counted:
    latency: dict[Deployment, Bins] = {}
    for one in some:
        for of, bins in one.latency.items():
            latency[of] = _total((latency.get(of, {}), bins))
    return Counted(
        requests=_total(one.requests for one in some),
        model_errors=_total(one.model_errors for one in some),
        bytes=_total(one.bytes for one in some),
        latency=latency,
        instances={},
        connections=None,
        connected=_sum(one.connected for one in some),
    )


def _more(before: Mapping[_Key, int], now: Mapping[_Key, int]) -> dict[_Key, int]:
    return {key: _than(before.get(key, 0), count) for key, count in now.items()}


def _than(before: int, now: int) -> int:
    """Return how much a counter has grown; a process that was started again counts from 0."""
    return now - before if now >= before else now


def _total(some: Iterable[Mapping[_Key, int]]) -> dict[_Key, int]:
    found = Counter[_Key]()
    for one in some:
        found.update(one)
    return dict(found)


def _sum(some: Iterable[int | None]) -> int | None:
    """Return the sum of what is known; None where nothing is."""
    known = [one for one in some if one is not None]
    return sum(known) if known else None
