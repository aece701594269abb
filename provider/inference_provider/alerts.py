"""The rule of an alert, and what was measured -> whether it fires or resolves, and why. Pure.

Each look at a workspace becomes one `Look` of a rule; the looks of its window say whether it is
beyond its threshold. What was not measured fires nothing, and resolves nothing as long as the
router does not answer. Windows go by a clock that never decreases, the time of day is only told.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from inference_provider.alert_words import compared
from inference_provider.metrics.catalogue import (
    CAPACITY,
    ENDPOINT,
    LATENCY,
    NETWORK,
    PERCENTILES,
    REQUESTS,
)
from inference_provider.metrics.growth import growth
from inference_provider.metrics.series import Reading, Series, percentile
from inference_provider.observed import Frozen
from inference_provider.router.counters import Bins
from inference_provider.router.request_counts import asked_and_failed
from inference_provider.spec.alert import ERROR_RATE, SHARES, USUAL_REQUESTS, AlertRule

_LOOKS = 60
"""How many of a window are remembered, about; older ones are put together."""
LONGEST_S = 30.0
"""Between two looks; what was counted in a longer time is of no window."""
_MEASURED = 0.5
"""Share of a window that has to be measured."""
_PER_S = {REQUESTS.name: 60.0, NETWORK.name: 1.0}
"""What a second of one that is counted stands for in its unit."""
_SHARE_OF = {LATENCY.name: None} | {one.name: share for share, one in PERCENTILES.items()}
UNMEASURED = "it is not measured now"
NO_LONGER = "it is no longer measured"
ANOTHER = "it is another rule now"
FIRED = "Fired"


@dataclass(frozen=True)
class Look:
    """What was measured for a rule between two readings, or between several."""

    begin_s: float
    end_s: float
    seconds: float
    """How much of that time was measured."""
    total: float = 0.0
    """What was counted, or the sum of what there was at each look."""
    of: float = 0.0
    """Requests of which `total` is a share; looks of which it is the sum."""
    bins: Bins = field(default_factory=dict)
    least: float | None = None
    most: float | None = None
    """The values of single looks between which all lie; None where none has one."""


@dataclass(frozen=True)
class Growth:
    """What a router has counted of one endpoint between two readings."""

    answers: dict[tuple[str, str], int] = field(default_factory=dict)
    """By deployment and status."""
    by_model: dict[tuple[str, str], int] = field(default_factory=dict)
    """Of those with 424, by the status that the model gave."""
    took: dict[str, Bins] = field(default_factory=dict)
    """How long answers took, by deployment."""


@dataclass(frozen=True)
class Verdict:
    """What a window says."""

    beyond: bool | None
    """Whether the rule's threshold is passed; None where that is not known."""
    value: float | None
    why: str
    """A sentence."""
    is_silent: bool = False
    """Whether too little is there to measure: too few requests, no deployment, no instance."""


class Standing(Frozen):
    """Whether an alert has fired, and since when."""

    condition: Literal["Fired", "Resolved"] = "Resolved"
    since: datetime | None = None
    """When it became so; None where it never fired."""
    fired_at: datetime | None = None
    """When it fired last."""
    why: str = ""
    """Why it became so."""

    @property
    def has_fired(self) -> bool:
        """Whether it has, and is not resolved."""
        return self.condition == FIRED


# -- one look ------------------------------------------------------------------------------------


def grown_between(before: Reading | None, now: Reading) -> dict[str, Growth] | None:
    """Return what a router has counted between two readings, by endpoint; None where nobody knows.

    Args:
        before: The last reading in which the router answered.
        now: The newest one.
    """
    grown = growth(before.router, now.router) if before else None
    if before is None or grown is None or not 0 < now.at_s - before.at_s <= LONGEST_S:
        return None
    found = dict[str, Growth]()
    for (of, deployment, status), count in grown.requests.items():
        found.setdefault(of, Growth()).answers[deployment, status] = count
    for (of, deployment, status), count in grown.model_errors.items():
        found.setdefault(of, Growth()).by_model[deployment, status] = count
    for (of, deployment), bins in grown.latency.items():
        found.setdefault(of, Growth()).took[deployment] = bins
    return found


def looked(
    rule: AlertRule, grown: Growth, begin_s: float, at_s: float, known: Iterable[Series]
) -> Look:
    """Return what was counted for a rule.

    Args:
        rule: One of a metric that the router counts.
        grown: What the router has counted of its endpoint meanwhile.
        begin_s: Since when.
        at_s: Until when, by the same clock.
        known: The series of the endpoint.
    """
    one = Look(begin_s, at_s, at_s - begin_s)
    if rule.metric == ERROR_RATE:
        asked, failed = asked_and_failed(
            _by_status(rule, grown.answers), _by_status(rule, grown.by_model)
        )
        one = replace(one, of=asked, total=failed)
    elif rule.metric in _SHARE_OF:
        one = replace(one, bins=_durations(rule, grown))
    else:
        rate = sum(s.value for s in known if _is_of(rule, s))
        one = replace(one, total=rate * one.seconds / _PER_S[rule.metric])
    value = _average(rule.metric, one)
    return replace(one, least=value, most=value)


def is_counted(rule: AlertRule) -> bool:
    """Whether the router counts what a rule is about; else it is there at each look."""
    return rule.metric == ERROR_RATE or rule.metric in _SHARE_OF or rule.metric in _PER_S


def seen(
    rule: AlertRule, last_s: float | None, at_s: float, known: Iterable[Series]
) -> Look | None:
    """Return what a reading says of what is there; None where it was not measured.

    Args:
        rule: One of a metric that is there at each look.
        last_s: When the look before was; None at the first.
        at_s: Now, by the same clock.
        known: The series of the endpoint.
    """
    values = [s.value for s in known if _is_of(rule, s)]
    if not values or last_s is None or not 0 < at_s - last_s <= LONGEST_S:
        return None
    if rule.metric == CAPACITY.name:
        values = [sum(values)]
    mean = sum(values) / len(values)
    least, most = min(values), max(values)
    return Look(last_s, at_s, at_s - last_s, total=mean, of=1, least=least, most=most)


def _is_of(rule: AlertRule, one: Series) -> bool:
    if one.metric.name != rule.metric:
        return False
    labels = dict(zip(one.metric.dimensions, one.labels, strict=True))
    return all(labels.get(name) in wanted for name, wanted in rule.dimensions.items())


def _counts_deployment(rule: AlertRule, deployment: str) -> bool:
    wanted = rule.dimensions.get("deployment")
    return wanted is None or deployment in wanted


def _by_status(rule: AlertRule, counts: Mapping[tuple[str, str], int]) -> Mapping[str, int]:
    found = Counter[str]()
    for (deployment, status), count in counts.items():
        if _counts_deployment(rule, deployment):
            found[status] += count
    return found


def _durations(rule: AlertRule, grown: Growth) -> Bins:
    found = Counter[float]()
    for deployment, took in grown.took.items():
        if _counts_deployment(rule, deployment):
            found.update({ms: count for ms, count in took.items() if count})
    return found


# -- a window ------------------------------------------------------------------------------------


def remembered(rule: AlertRule, looks: Sequence[Look], at_s: float) -> tuple[Look, ...]:
    """Return the looks that a rule still needs, about 60: those of its window, and one before."""
    begin_s, least_s = at_s - rule.window_s, rule.window_s / _LOOKS
    kept = list[Look]()
    for one in (one for one in looks if one.end_s > begin_s):
        # what is newest stays as it is: a look that is put together grows no more
        if kept and one.end_s - kept[-1].begin_s <= least_s:
            kept[-1] = _together([kept[-1], one])
        else:
            kept.append(one)
    return tuple(kept)


def _together(looks: Sequence[Look]) -> Look:
    bins = Counter[float]()
    for one in looks:
        bins.update(one.bins)
    least = [one.least for one in looks if one.least is not None]
    most = [one.most for one in looks if one.most is not None]
    return Look(
        looks[0].begin_s,
        looks[-1].end_s,
        sum(one.seconds for one in looks),
        total=sum(one.total for one in looks),
        of=sum(one.of for one in looks),
        bins=bins,
        least=min(least, default=None),
        most=max(most, default=None),
    )


def judged(
    rule: AlertRule, looks: Sequence[Look], at_s: float, *, is_measured: bool, answered: bool
) -> Verdict:
    """Return what the looks of a rule's window say.

    Args:
        rule: The rule.
        looks: What `remembered` returned.
        at_s: Now, by the clock of the looks.
        is_measured: Whether the newest look was taken now.
        answered: Whether the router answers now.
    """
    whole = _together(looks) if looks else Look(at_s, at_s, 0)
    seen_s = max(0.0, at_s - whole.begin_s)
    if not is_measured:
        return Verdict(None, None, UNMEASURED, is_silent=answered and not is_counted(rule))
    if seen_s < rule.window_s or whole.seconds < _MEASURED * rule.window_s:
        measured = min(whole.seconds, rule.window_s)
        return Verdict(None, None, f"measured for {measured:.0f} s of {rule.window_s} s")
    requests = sum(whole.bins.values()) if rule.metric in _SHARE_OF else whole.of
    least = rule.min_requests or USUAL_REQUESTS
    if rule.metric in SHARES and requests < least:
        said = f"{requests:.0f} requests in {rule.window_s} s, needs {least}"
        return Verdict(None, None, said, is_silent=True)
    value = _aggregated(rule, whole)
    if value is None:
        return Verdict(None, None, "it has no value")
    beyond = _is_beyond(rule, value)
    of = f", of {requests:.0f} requests" if rule.metric in SHARES else ""
    said = f"{compared(rule, value, is_beyond=beyond)}{of} in {rule.window_s} s"
    return Verdict(beyond, value, said)


def _aggregated(rule: AlertRule, whole: Look) -> float | None:
    return {
        "average": _average(rule.metric, whole),
        "maximum": whole.most,
        "minimum": whole.least,
        "total": whole.total * min(1.0, rule.window_s / whole.seconds),
    }[rule.aggregation]


def _average(metric: str, one: Look) -> float | None:
    if metric in _PER_S:
        return _PER_S[metric] * one.total / one.seconds if one.seconds else None
    if metric in _SHARE_OF:
        return _duration(_SHARE_OF[metric], one.bins)
    factor = 100 if metric == ERROR_RATE else 1
    return factor * one.total / one.of if one.of else None


def _duration(share: int | None, bins: Bins) -> float | None:
    requests = sum(bins.values())
    if not requests:
        return None
    if share is None:
        return sum(ms * count for ms, count in bins.items()) / requests
    return percentile(sorted(bins.items()), requests * share / 100)


def _is_beyond(rule: AlertRule, value: float) -> bool:
    if rule.operator.endswith("_or_equal") and value == rule.threshold:
        return True
    above = rule.operator.startswith("greater")
    return value > rule.threshold if above else value < rule.threshold


# -- what becomes of it --------------------------------------------------------------------------


def decided(
    rule: AlertRule,
    verdict: Verdict,
    there: Standing,
    *,
    well_s: float,
    silent_s: float,
    now: datetime,
) -> Standing:
    """Return how an alert stands after a look; the same one where nothing changes.

    Args:
        rule: The rule.
        verdict: What its window says.
        there: How it stood.
        well_s: For how long it has not been beyond its threshold, as far as that was measured.
        silent_s: For how long too little was there to measure, though the router answered.
        now: The time of day.
    """
    if there.has_fired and not rule.enabled:
        return _resolved(there, "it was turned off", now)
    if there.has_fired and silent_s >= max(rule.window_s, rule.resolve_after_s):
        why = "" if verdict.why == UNMEASURED else f": {verdict.why}"
        return _resolved(there, f"{NO_LONGER}{why}", now)
    if not rule.enabled or verdict.beyond is None:
        return there
    if verdict.beyond and not there.has_fired:
        return Standing(condition="Fired", since=now, fired_at=now, why=verdict.why)
    if there.has_fired and not verdict.beyond and well_s >= rule.resolve_after_s:
        return _resolved(there, verdict.why, now)
    return there


def is_another(rule: AlertRule, than: AlertRule) -> bool:
    """Whether a rule is about something else than one that it had the name of."""
    return _what(rule) != _what(than)


def _what(rule: AlertRule) -> tuple[object, ...]:
    return rule.metric, rule.dimensions, rule.aggregation, rule.operator.startswith("greater")


def begun_again(there: Standing, now: datetime) -> Standing:
    """Return how an alert stands whose name is that of another one now."""
    return _resolved(there, ANOTHER, now) if there.has_fired else Standing()


def _resolved(there: Standing, why: str, now: datetime) -> Standing:
    return there.model_copy(update={"condition": "Resolved", "since": now, "why": why})


def of_endpoints(known: Iterable[Series]) -> dict[str, list[Series]]:
    """Return series by the endpoint that they are of."""
    found = dict[str, list[Series]]()
    for one in known:
        for name, value in _labels(one):
            if name == ENDPOINT:
                found.setdefault(value, []).append(one)
    return found


def _labels(one: Series) -> Iterator[tuple[str, str]]:
    yield from zip(one.metric.dimensions, one.labels, strict=True)
