"""Amounts as Kubernetes writes them -> numbers. Pure."""

import math

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_UNITS |= {f"{unit}i": 2 ** (10 * power) for power, unit in enumerate("KMGT", 1)}


def cores(amount: str) -> float:
    """Return cores: `500m` is 0.5."""
    return float(amount[:-1]) / 1000 if amount.endswith("m") else float(amount)


def bytes_of(amount: str) -> int:
    """Return bytes: `512Mi` is 536,870,912."""
    digits = amount.rstrip("KMGTi")
    return math.ceil(float(digits) * _UNITS[amount[len(digits) :]])
