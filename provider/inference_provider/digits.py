"""A number of somebody's -> its digits, as they wrote them. Pure."""

_WRITTEN_OUT = 1e21
"""From here on digits are more than anybody reads."""


def exact(number: float) -> str:
    """Return a number with all its digits, and none that says nothing: `5`, `0.05`, `123456789`."""
    text = repr(float(number))
    if "e" in text and 1 <= abs(number) < _WRITTEN_OUT:
        return str(int(number))
    return text.removesuffix(".0")
