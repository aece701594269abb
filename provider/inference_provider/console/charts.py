"""What was measured of an endpoint -> charts, as SVG that has neither script nor style. Pure.

The style sheet of the console gives the lines their colours, in light and in dark.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from markupsafe import Markup, escape

from inference_provider.console.history import Moment
from inference_provider.metrics.catalogue import (
    CLASS,
    CPU,
    DEPLOYMENT,
    ENDPOINT,
    GPU,
    GPU_MEMORY,
    INSTANCE,
    MEMORY,
    PERCENTILES,
    REQUESTS,
    Metric,
)
from inference_provider.metrics.series import Series
from inference_provider.printable import printable

WIDTH, HEIGHT = 520, 230
COLOURS = tuple(f"#00000{number}" for number in range(1, 9))
"""Stand for the colours of the style sheet: `[stroke="#000001"]` is the first line's."""
_SHORTEST = timedelta(minutes=5)
"""What a chart shows at least, be it empty at first."""
_NO_ANSWER = "no answer"
_OF_STATUS = {"2xx": 3, "3xx": 6, "4xx": 5, "5xx": 2, _NO_ANSWER: 4}
"""Which colour a line has whose name means one."""

Label = Callable[[Mapping[str, str]], str]
"""Returns which line a series belongs to, by its dimensions."""


class Chart(NamedTuple):
    """One chart."""

    title: str
    unit: str
    drawn: Markup
    told: str
    """The last values, in words."""
    left: int
    """How many lines it has no room for."""


class _Plan(NamedTuple):
    title: str
    unit: str
    lines: Sequence[tuple[Metric, Label]]


def charts(moments: Sequence[Moment], endpoint: str) -> tuple[Chart, ...]:
    """Return the charts of an endpoint of which something is known."""
    plans = (
        _Plan("Requests in a minute, by status", "/min", [(REQUESTS, _status)]),
        _Plan("Latency", "ms", [(PERCENTILES[share], _share(share)) for share in (50, 95)]),
        _Plan("Processor, by instance", "%", [(CPU, _instance)]),
        _Plan("Memory, by instance", "%", [(MEMORY, _instance)]),
        _Plan("GPU, by instance", "%", [(GPU, _instance)]),
        _Plan("GPU memory, by instance", "%", [(GPU_MEMORY, _instance)]),
    )
    found = ((plan, _lines(plan, moments, endpoint)) for plan in plans)
    return tuple(_chart(plan, lines, moments) for plan, lines in found if lines)


def _status(of: Mapping[str, str]) -> str:
    return of[CLASS] or _NO_ANSWER


def _share(share: int) -> Label:
    return lambda of: f"{of[DEPLOYMENT] or 'router'} P{share}"


def _instance(of: Mapping[str, str]) -> str:
    return of[INSTANCE].removeprefix(f"{of[ENDPOINT]}.")


def _lines(plan: _Plan, moments: Sequence[Moment], endpoint: str) -> dict[str, list[float | None]]:
    """Return the value of each line at each moment; None where it is not known."""
    found = dict[str, list[float | None]]()
    for at, moment in enumerate(moments):
        for line, value in _at(plan, moment.series, endpoint):
            values = found.setdefault(line, [None] * len(moments))
            values[at] = (values[at] or 0.0) + value
    return dict(sorted(found.items()))


def _at(plan: _Plan, known: Sequence[Series], endpoint: str) -> Iterator[tuple[str, float]]:
    for one in known:
        for metric, label in plan.lines:
            if one.metric is metric:
                of = dict(zip(metric.dimensions, one.labels, strict=True))
                if of[ENDPOINT] == endpoint:
                    yield label(of), one.value


def _chart(
    plan: _Plan, lines: Mapping[str, list[float | None]], moments: Sequence[Moment]
) -> Chart:
    some = dict([*lines.items()][: len(COLOURS)])
    told = ", ".join(f"{printable(name)} {_number(values[-1])}" for name, values in some.items())
    label = f"{plan.title}, {plan.unit}: now {told}"
    drawn = _drawn(some, [one.at.replace(tzinfo=None) for one in moments], label)
    return Chart(plan.title, plan.unit, drawn, told, len(lines) - len(some))


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.4g}"


def _drawn(lines: Mapping[str, list[float | None]], at: Sequence[datetime], label: str) -> Markup:
    import leather  # noqa: PLC0415 - takes a moment, and most pages draw nothing

    chart: Any = leather.Chart()
    for number, (name, values) in enumerate(lines.items()):
        points = [*zip(at, values, strict=True)]
        colour = COLOURS[_OF_STATUS.get(name, number)]
        chart.add_line(points, name=printable(name), stroke_color=colour)
    top = max((value for values in lines.values() for value in values if value), default=0.0)
    chart.add_x_scale(min(at[0], at[-1] - _SHORTEST), at[-1])
    chart.add_y_scale(0, _round(top))
    chart.add_x_axis(tick_formatter=_clock)
    chart.add_y_axis(tick_formatter=_tick)
    return _inline(chart.to_svg(width=WIDTH, height=HEIGHT), label)


def _round(top: float) -> float:
    """Return the end of a scale: 1, 2, 5, 10 and so on, at or above its highest value."""
    end = 1.0
    while end < top:
        for factor in (2, 2.5, 2):
            end *= factor
            if end >= top:
                break
    return end


def _clock(value: datetime, *_: object) -> str:
    return value.strftime("%H:%M")


def _tick(value: float, *_: object) -> str:
    return f"{float(value):g}"


def _inline(svg: str, label: str) -> Markup:
    """Return it for a page that is as wide as it may be, with what it says in words."""
    begin, rest = svg.split(">", 1)
    assert begin.startswith("<svg ")
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}"'
    return Markup(f'<svg {size} xmlns="http://www.w3.org/2000/svg">{rest}')
