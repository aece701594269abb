"""What the autoscaler writes down of its decisions, within bounds."""

from tests.unit.autoscaler.case import Case


def test_each_change_is_written_down_with_all_that_it_went_by(case):
    case.look(1)
    case.look(8)
    case.look(8)
    quiet, change, made = case.lines()
    assert (quiet["count"], quiet["wanted"], "memory" in quiet) == (1, 1, False)
    assert (change["count"], change["wanted"], change["deployment"]) == (1, 4, "iris/blue")
    assert change["reasons"] == ["RequestsInFlight is 8, its target 2"]
    assert change["sample"]["values"] == {"RequestsInFlight": 8}
    assert change["rule"]["max_instances"] == 5
    assert change["memory"]["wanted"] == [[1.0, 1]]
    assert (made["wanted"], made["made"]) == (4, True)


def test_what_changes_nothing_is_written_down_once_a_minute(case):
    case.look(1, seconds=150)
    assert len(case.lines()) == 3


def test_the_log_of_decisions_has_a_bounded_size(tmp_path):
    case = Case(tmp_path)
    case.autoscaler = case.with_log(5_000)
    case.look(1, seconds=3_000)
    files = sorted(case.folder.iterdir())
    assert [one.name for one in files] == ["decisions.jsonl", "decisions.jsonl.1"]
    assert all(one.stat().st_size <= 5_000 for one in files)
    assert all(one.stat().st_mode & 0o077 == 0 for one in files)


def test_a_log_that_cannot_be_written_holds_up_no_change(case):
    case.folder.write_text("no folder")
    assert case.look(8) == 4
