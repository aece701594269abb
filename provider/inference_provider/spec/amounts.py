"""Amounts as Kubernetes writes them -> numbers. Pure."""

import math
import re

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_UNITS |= {f"{unit}i": 2 ** (10 * power) for power, unit in enumerate("KMGT", 1)}
_EXACT = {"n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "P": 1e15, "E": 1e18}
_EXACT |= {"Pi": 2.0**50, "Ei": 2.0**60} | _UNITS


def quantity(amount: str) -> float:
    """Return any amount that an API server may write: `1539714n`, `128974848`, `1e3`.

    Source: kubernetes/apimachinery, pkg/api/resource/quantity.go
    """
    found = re.fullmatch(r"(.*?\d\.?)([a-zA-Z]*)", amount)
    if found is None or found[2] not in _EXACT:
        raise ValueError(f"{amount} is no amount")
    return float(found[1]) * _EXACT[found[2]]


def cores(amount: str) -> float:
    """Return cores: `500m` is 0.5."""
    return float(amount[:-1]) / 1000 if amount.endswith("m") else float(amount)


def bytes_of(amount: str) -> int:
    """Return bytes: `512Mi` is 536,870,912."""
    digits = amount.rstrip("KMGTi")
    return math.ceil(float(digits) * _UNITS[amount[len(digits) :]])
