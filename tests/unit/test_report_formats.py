"""The drift report as text, JSON, Markdown and JUnit."""

import json
from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest

from inference_provider.cli.report import WRITERS, as_json, junit, markdown, text
from inference_provider.drift import DriftReport, FieldDrift, ResourceDrift
from inference_provider.observed import Kind, ResourceId

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def resource(kind: Kind, name: str, verdict: str, **more) -> ResourceDrift:
    where = ResourceId(kind=kind, workspace="default", name=name)
    return ResourceDrift(id=where, verdict=verdict, **more)


COUNT = FieldDrift(
    path="instance_count",
    declared=3,
    recorded=2,
    live=2,
    severity="capacity",
    change_class="live",
    origin="not yet applied",
    actor="ana (inferctl up)",
    time=NOON,
)
SECRET = FieldDrift(
    path="environment_variables.A",
    declared="(secret)",
    recorded=None,
    live="a|b",
    severity="capacity",
    change_class="rolling",
    origin="changed by hand",
)
REPORT = DriftReport(
    stack="demo",
    resources=(
        resource(Kind.ENDPOINT, "iris", "clean"),
        resource(Kind.DEPLOYMENT, "iris/blue", "drifted", fields=(COUNT, SECRET), fix="rolling"),
        resource(Kind.MODEL, "m:1", "missing", fix="create", reason="it was never applied"),
        resource(Kind.TRAFFIC, "iris", "unreadable", reason="<router> gone\x1b[0m"),
    ),
)
CLEAN = DriftReport(stack="demo", resources=REPORT.resources[:1])


def test_text_says_the_verdict_first_and_then_each_field():
    assert text(REPORT) == (
        "demo: 1 drifted, 1 missing, 0 unmanaged, 1 clean, 1 unreadable\n"
        "\n"
        "drifted: Deployment 'default/iris/blue' (fix: new instances in place of the old)\n"
        "  instance_count: declared 3 | recorded 2 | live 2  [capacity, live]\n"
        "    not yet applied; recorded by ana (inferctl up) at 2026-01-02T12:00:00+00:00\n"
        "  environment_variables.A: declared (secret) | recorded (none) | live a|b"
        "  [capacity, rolling]\n"
        "    changed by hand; by whom is unknown\n"
        "\n"
        "missing: Model 'default/m:1' (it was never applied; fix: create it)\n"
        "\n"
        "unreadable: Traffic 'default/iris' (<router> gone\\x1b[0m)\n"
    )


def test_text_of_a_clean_stack_is_one_line():
    assert text(CLEAN) == "demo: 0 drifted, 0 missing, 0 unmanaged, 1 clean, 0 unreadable\n"


def test_json_holds_counts_exit_code_and_three_columns():
    document = json.loads(as_json(REPORT))
    assert document["exit_code"] == 1
    assert document["counts"]["drifted"] == 1
    blue = document["resources"][1]
    assert (blue["kind"], blue["name"], blue["verdict"]) == ("Deployment", "iris/blue", "drifted")
    assert blue["fields"][0] == {
        "path": "instance_count",
        "declared": 3,
        "recorded": 2,
        "live": 2,
        "severity": "capacity",
        "change_class": "live",
        "origin": "not yet applied",
        "actor": "ana (inferctl up)",
        "time": "2026-01-02T12:00:00Z",
        "sighting": None,
        "waiver": None,
        "expired_waiver": None,
    }


def test_markdown_keeps_its_table_whole_when_a_value_holds_a_bar():
    row = next(line for line in markdown(REPORT).splitlines() if "environment_variables" in line)
    assert "a\\|b" in row
    assert row.replace("\\|", "").count("|") == 10


def test_markdown_reads_what_somebody_wrote_as_text():
    """A report goes into merge requests and issues: no link, no picture, nobody is called."""
    wild = "a`b`|[x](http://evil.test)![y](z)<img>@ops *c* _d_\\"
    field = COUNT.model_copy(update={"live": wild, "actor": "@ops [x](y)", "path": "tags.`a"})
    one = resource(Kind.ENDPOINT, "iris", "drifted", fields=(field,), reason="<b> @ops\n# x")
    lines = markdown(DriftReport(stack="d`e", resources=(one,), notes=("*n* `m`",))).splitlines()
    assert lines[0] == "# Drift of `` d`e ``"
    assert lines[2].startswith("**d\\`e: 1 drifted")
    assert lines[6] == "\\<b\\> @<!-- -->ops\\\\n# x; fix: no effect on running instances"
    cells = lines[10].split(" | ")
    assert cells[0] == "| `` tags.`a ``"
    assert cells[3] == "`` " + wild.replace("|", "\\|") + " ``"
    assert cells[7] == "@<!-- -->ops \\[x\\](y)"
    assert lines[-1] == "- \\*n\\* \\`m\\`"


def test_junit_tells_drift_from_what_could_not_be_read():
    suite = ElementTree.fromstring(junit(REPORT))
    assert {name: suite.get(name) for name in ("tests", "failures", "errors")} == {
        "tests": "4", "failures": "2", "errors": "1",
    }  # fmt: skip
    cases = {f"{case.get('classname')}/{case.get('name')}": list(case) for case in suite}
    assert cases["default.Endpoint/iris"] == []
    (failure,) = cases["default.Deployment/iris/blue"]
    assert (failure.tag, failure.get("type")) == ("failure", "drifted")
    assert "declared 3 | recorded 2 | live 2" in str(failure.text)
    (error,) = cases["default.Traffic/iris"]
    assert (error.tag, error.get("type")) == ("error", "unreadable")
    assert "\x1b" not in str(error.get("message"))


@pytest.mark.parametrize("form", ["text", "json", "markdown", "junit"])
def test_every_format_ends_in_a_newline(form):
    assert WRITERS[form](REPORT).endswith("\n")


def test_a_note_of_what_is_clean_is_told_and_counts_as_no_drift():
    noted = resource(Kind.AUTOSCALE_RULE, "iris/blue", "clean", reason="not kept since noon")
    report = DriftReport(stack="demo", resources=(noted,))
    said = "note: AutoscaleRule 'default/iris/blue' (not kept since noon)"
    assert text(report).splitlines()[2:] == [said]
    assert "- AutoscaleRule 'default/iris/blue' (not kept since noon)" in markdown(report)
    assert ElementTree.fromstring(junit(report)).findtext("testcase/system-out") == noted.reason
    assert report.exit_code == 0
