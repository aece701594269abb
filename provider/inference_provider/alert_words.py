"""A value of an alert rule -> what people are told of it. Pure."""

from inference_provider.digits import exact
from inference_provider.metrics.catalogue import CATALOGUE, NETWORK
from inference_provider.spec.alert import ERROR_RATE, AlertRule

_UNITS = {ERROR_RATE: "%"} | {one.name: one.unit for one in CATALOGUE}
_WORDS = {
    "greater_than": "above",
    "greater_than_or_equal": "at or above",
    "less_than": "below",
    "less_than_or_equal": "at or below",
}
_WHOLE = 1000.0
"""From here on nobody reads what is behind the point of a value."""


def compared(rule: AlertRule, value: float, *, is_beyond: bool) -> str:
    """Say a value of a rule and its threshold: `ErrorRate 52 % above 5 %`."""
    how = _WORDS[rule.operator] if is_beyond else f"not {_WORDS[rule.operator]}"
    return f"{told_of(rule, value)} {how} {exact(rule.threshold)}{unit_of(rule)}"


def told_of(rule: AlertRule, value: float) -> str:
    """Say a value of a rule: `ErrorRate 52 %`, `maximum RequestLatency 812 ms`."""
    how = "" if rule.aggregation == "average" else f"{rule.aggregation} "
    shown = f"{value:.0f}" if abs(value) >= _WHOLE else f"{value:.4g}"
    if shown == exact(rule.threshold) and value != rule.threshold:  # 5.00001 is above 5, not 5
        shown = exact(value)
    return f"{how}{rule.metric} {shown}{unit_of(rule)}"


def unit_of(rule: AlertRule) -> str:
    """Return what stands behind a value of a rule."""
    unit = _UNITS[rule.metric]
    if rule.aggregation == "total":
        unit = "B" if rule.metric == NETWORK.name else ""
    return f" {unit}" if unit else ""
