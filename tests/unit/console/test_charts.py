"""What is measured of an endpoint becomes charts, and a page has them."""

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest
from tests.local.server.model import until
from tests.unit.conftest import ServedTarget
from tests.unit.console.conftest import OfStack

from inference_provider.console.charts import charts
from inference_provider.console.history import BACK_S, MOST_VALUES, History, Moment, Past, Watch
from inference_provider.errors import TargetUnreachable
from inference_provider.metrics.catalogue import CPU, GPU, PERCENTILES, REQUESTS
from inference_provider.metrics.series import InstanceUse, Reading, Series

IRIS = "/endpoints/default/iris"
AT = datetime(2026, 11, 27, 12, tzinfo=UTC)


def requests(deployment, status, value, endpoint="iris"):
    of = f"{status[0]}xx" if status != "0" else ""
    return Series(REQUESTS, (endpoint, deployment, status, of, ""), value)


def cpu(instance, value):
    return Series(CPU, ("iris", "blue", instance), value)


def moments(*of):
    return [Moment(AT + timedelta(seconds=10 * at), tuple(some)) for at, some in enumerate(of)]


def test_requests_of_all_deployments_are_added_by_class_of_status():
    [one] = charts(
        moments(
            [requests("blue", "200", 60.0), requests("blue", "503", 6.0)],
            [
                requests("blue", "200", 30.0),
                requests("green", "201", 12.0),
                requests("blue", "0", 6.0),
                requests("blue", "200", 999.0, endpoint="rose"),
            ],
        ),
        "iris",
    )
    assert (one.title, one.unit) == ("Requests in a minute, by status", "/min")
    assert one.told == "2xx 42, 5xx unknown, no answer 6"


def test_a_class_of_status_keeps_its_colour_whatever_else_there_is():
    [alone] = charts(moments([requests("blue", "503", 6.0)] * 2), "iris")
    [both] = charts(moments([requests("blue", "200", 6.0), requests("blue", "503", 6.0)]), "iris")
    assert 'stroke="#000003"' in alone.drawn
    assert both.drawn.index('fill="#000004"') < both.drawn.index('fill="#000003"')


def test_latency_has_a_line_for_each_deployment_and_percentile():
    series = [
        Series(PERCENTILES[50], ("iris", "blue"), 21.5),
        Series(PERCENTILES[95], ("iris", "blue"), 1234.5),
        Series(PERCENTILES[99], ("iris", "blue"), 9.0),
    ]
    [one] = charts(moments(series), "iris")
    assert one.told == "blue P50 21.5, blue P95 1,234"


def test_there_is_no_chart_of_what_is_not_known():
    found = charts(moments([cpu("iris.blue.g.0", 5.0)]), "iris")
    assert [one.title for one in found] == ["Processor, by instance"]
    assert charts(moments([]), "iris") == ()
    assert charts([], "iris") == ()
    gpu = Series(GPU, ("iris", "blue", "iris.blue.g.0"), 5.0)
    assert [one.told for one in charts(moments([gpu]), "iris")] == ["blue.g.0 5"]


def test_a_gap_is_no_line():
    some = [cpu("iris.blue.g.0", 5.0)]
    [one] = charts(moments(some, some, [], some, some), "iris")
    assert one.drawn.count("<path") == 2


def test_more_instances_than_colours_are_counted():
    [one] = charts(moments([cpu(f"iris.blue.g.{at}", 5.0) for at in range(11)]), "iris")
    assert one.left == 3


@pytest.mark.parametrize("value", [0.0, 1e-9, 99.9, 100.0, 123_456_789.0])
def test_any_value_has_a_chart(value):
    [one] = charts(moments([cpu("iris.blue.g.0", value)] * 2), "iris")
    assert one.drawn.startswith('<svg viewBox="0 0 520 230" role="img" aria-label="Processor')


def test_no_chart_has_a_script_or_a_style_or_a_name_that_is_one():
    name = 'iris.<script>alert(1)</script>"onload="x" style="y\x1b[1m'
    [one] = charts(moments([cpu(name, 5.0), cpu("iris.b", 6.0)] * 2), "iris")
    drawn = [*ElementTree.fromstring(one.drawn).iter()]
    assert {each.tag.rpartition("}")[2] for each in drawn} <= {
        "svg",
        "g",
        "rect",
        "line",
        "path",
        "text",
    }
    attributes = {attribute for each in drawn for attribute in each.attrib}
    assert not [each for each in attributes if each.startswith("on") or each == "style"]
    assert "\x1b" not in one.drawn


class Meters(ServedTarget):
    """A target whose processors are measured."""

    fault = None
    measured = 0

    def meter(self, workspace):
        assert workspace == "default"

        def look():
            self.measured += 1
            if self.fault:
                raise self.fault
            use = InstanceUse("iris/blue", "iris.blue.g.0", cpu=25.0)
            return Reading(float(self.measured), {"": None}, (use,))

        return look


@pytest.fixture
def measuring(cli):
    cli.target = Meters()
    assert cli("up").exit_code == 0
    return OfStack(cli)


def test_a_page_draws_what_was_measured_since_it_was_asked_first(measuring):
    assert "The first values come within half a minute." in measuring.text(IRIS)
    until(lambda: "now: blue.g.0 25" in measuring.text(IRIS))
    assert "Processor, by instance %" in measuring.text(IRIS)
    assert measuring.cli.target.measured == 1


def test_a_page_says_why_nothing_is_measured(measuring):
    measuring.cli.target.fault = TargetUnreachable("ask", "the router", "it is silent")
    measuring.get(IRIS)
    until(lambda: "Nothing is measured now: " in measuring.text(IRIS))


def test_a_target_that_measures_nothing_has_no_charts(browser):
    assert "Measured" not in browser.text(IRIS)


def test_a_history_goes_back_an_hour_at_most():
    watch = Watch()
    for at_s in range(0, 10_000, 10):
        watch.add(at_s, Moment(AT, (cpu("iris.b", 1.0),)))
    assert [at_s for at_s, _ in watch.moments] == [*range(9990 - int(BACK_S), 10_000, 10)]


def test_a_history_keeps_so_many_values_at_most():
    watch, many = Watch(), (cpu("iris.b", 1.0),) * (MOST_VALUES // 10)
    for at_s in range(0, 1000, 10):
        watch.add(at_s, Moment(AT, many))
    assert [at_s for at_s, _ in watch.moments] == [*range(900, 1000, 10)]
    watch.add(1000, Moment(AT, many * 11))
    assert len(watch.moments) == 1


def test_nobody_is_asked_any_more_when_nobody_has_looked_for_an_hour():
    now_s, target = [0.0], Meters()
    history = History(lambda: now_s[0], period_s=0.001)
    history.of(target, "default")
    until(lambda: target.measured > 3)
    now_s[0] = BACK_S + 1
    until(lambda: not history._watched)
    before = target.measured
    assert history.of(target, "default") == Past(())
    until(lambda: target.measured > before)
