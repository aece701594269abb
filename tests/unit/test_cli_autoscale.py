"""`inferctl autoscale explain`: what is written down of a decision, and the same decided again."""

import json

import pytest

from inference_provider.targets.memory import MemoryTarget

RULE = {
    "endpoint": "iris",
    "deployment": "blue",
    "max_instances": 3,
    "targets": [{"metric": "RequestsInFlight", "target": 2}],
}
LINE = {
    "time": "2026-11-27T12:00:00.5+00:00",
    "deployment": "iris/blue",
    "count": 1,
    "wanted": 3,
    "reasons": ["RequestsInFlight is 8, its target 2", "the rule allows 1 to 3"],
    "sample": {"at_s": 9, "ready": 1, "values": {"RequestsInFlight": 8}},
    "rule": RULE,
    "memory": {"samples": [], "wanted": [[8, 1]], "changes": []},
}
MADE = {"time": "2026-11-27T12:00:02+00:00", "deployment": "iris/blue", "wanted": 3, "made": True}


class Decided(MemoryTarget):
    """A target with an autoscaler that has written something down."""

    lines: tuple[str, ...] = ()

    def decisions(self, workspace):
        assert workspace == "default"
        return self.lines


@pytest.fixture
def decided(cli):
    cli.target = Decided()
    assert cli("up").exit_code == 0

    def wrote(*documents):
        cli.target.lines = tuple(json.dumps(one) for one in documents)
        return cli

    return wrote


def test_the_last_change_is_told_with_its_reasons_and_decided_again(decided):
    quiet = {name: one for name, one in LINE.items() if name != "memory"}
    other = {**LINE, "deployment": "iris/green", "wanted": 9}
    older = {**LINE, "wanted": 2}
    result = decided(older, LINE, other, MADE, quiet)("autoscale", "explain", "iris/blue")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "2026-11-27T12:00:00Z  1 -> 3 instances  made",
        "  because RequestsInFlight is 8, its target 2",
        "  because the rule allows 1 to 3",
        "  measured: RequestsInFlight 8; 1 ready",
        "  allowed: 1 to 3",
        "  decided again: the same",
    ]


def test_one_that_was_not_made_or_would_be_another_now_says_so(decided):
    failed = {**{n: one for n, one in MADE.items() if n != "made"}, "failed": "told to fail"}
    result = decided({**LINE, "wanted": 2}, failed)("autoscale", "explain", "iris/blue")
    assert result.stdout.splitlines()[0].endswith("1 -> 2 instances  not made: told to fail")
    assert result.stdout.splitlines()[-1] == "  decided again: 3"


def test_what_an_open_schedule_allowed_is_told(decided):
    noon = {"cron": "0 11 * * *", "duration_s": 7200, "min_instances": 2, "max_instances": 9}
    rule = {**RULE, "schedules": [noon]}
    result = decided({**LINE, "rule": rule})("autoscale", "explain", "iris/blue")
    assert "  allowed: 2 to 9" in result.stdout.splitlines()


def test_several_as_json(decided):
    result = decided(LINE, LINE, LINE)(
        *("autoscale", "explain", "iris/blue", "--last", "2", "--json")
    )
    found = json.loads(result.stdout)
    assert [(one["wanted"], one["again"]) for one in found] == [(3, 3), (3, 3)]


def test_lines_that_cannot_be_read_are_skipped(decided):
    cli = decided(LINE)
    cli.target.lines = ('{"deployment": "iris/blue", "mem', "[]", *cli.target.lines)
    assert cli("autoscale", "explain", "iris/blue").exit_code == 0


def test_a_deployment_whose_count_no_rule_has_changed_is_an_error(decided):
    result = decided()("autoscale", "explain", "iris/blue")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no autoscaler has written down here that it changed the count" in " ".join(
        result.stderr.split()
    )
