"""How a split is: what the router has in force, and where a rollout has it on its way. Pure."""

from collections.abc import Mapping

from inference_provider.observed import Record
from inference_provider.workspace.kept_shift import Phase, Shift

_BEGINS_AGAIN = (
    "applying the same again leaves it so; it begins again when the deployment, the plan or the"
    " split is changed"
)


def split_now(
    shift: Shift | None, record: Record, live: dict[str, dict[str, int]], minute: int
) -> dict[str, object]:
    """Say how a split is; that one on its way is not there yet is no difference."""
    split = split_text(live["traffic"], live["mirror_traffic"])
    if shift is None:
        return {"live": live, "status": split}
    told = shift.told(minute)
    expected = shift.on_the_way(record).properties
    as_meant = all(_served(live[field]) == _served(expected[field]) for field in live)
    found: dict[str, object] = {
        "live": {field: record.properties[field] for field in live} if as_meant else live,
        "status": f"{split}; {told}",
        "in_force": shift.in_force,
        "origin": shift.origin,
    }
    if shift.phase == Phase.MOVING:
        return found | {"under_way": shift.at}
    return found | {"degraded": f"{told}; {_BEGINS_AGAIN}"}


def _served(split: Mapping[str, int]) -> dict[str, int]:
    return {name: share for name, share in split.items() if share}


def split_text(traffic: Mapping[str, int], mirror: Mapping[str, int]) -> str:
    """Format a split and its mirror for display: `blue 100 %, mirror green 20 %`."""
    shares = [f"{name} {share} %" for name, share in sorted(traffic.items())]
    copies = [f"mirror {name} {share} %" for name, share in sorted(mirror.items()) if share]
    return ", ".join([*(shares or ["no traffic"]), *copies])


def merged(recorded: Mapping[str, int], live: Mapping[str, int]) -> dict[str, int]:
    """Return the live shares, with a 0 for each recorded 0 that the router does not list."""
    shown = {name: share for name, share in live.items() if share or name in recorded}
    zeros = {name: 0 for name in recorded if name not in live}
    return {**zeros, **shown}
