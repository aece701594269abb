"""inferctl drift: who accepts what is found, and since when reviews have seen it."""

import json
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest

TODAY = datetime.now(UTC).date()
LATER = (TODAY + timedelta(days=30)).isoformat()
YESTERDAY = (TODAY - timedelta(days=1)).isoformat()
TRAFFIC = "Traffic/default/iris"


def waiver(address=TRAFFIC, field="traffic", reason="canary of the week", expires=LATER) -> str:
    named = f"field: {field}, " if field else ""
    return f"  - {{address: {address}, {named}owner: ana, reason: {reason}, expires: {expires}}}\n"


@pytest.fixture
def split(cli):
    """The command line over a stack of which somebody changed a split by hand."""
    assert cli("up").exit_code == 0
    assert cli("split", "iris", "blue=90", "green=10").exit_code == 0
    cli.waivers = cli.file.parent / "drift-waivers.yaml"
    cli.history = cli.file.parent / "seen.json"
    return cli


def write(split, *waivers: str) -> None:
    split.waivers.write_text("waivers:\n" + "".join(waivers))


def test_what_somebody_accepts_is_shown_and_does_not_count(split):
    assert split("drift").exit_code == 2
    write(split, waiver())
    result = split("drift")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == ("demo: 0 drifted, 0 missing, 0 unmanaged, 5 clean, 0 unreadable, 1 waived")
    assert lines[2] == "drifted, waived: Traffic 'default/iris' (fix: in place)"
    assert lines.count(f"    waived by ana until {LATER}: canary of the week") == 2


def test_one_waived_field_leaves_the_other_to_count(split):
    write(split, waiver(field="traffic.green"))
    result = split("drift", "--json")
    assert result.exit_code == 2
    found = json.loads(result.stdout)
    traffic = next(one for one in found["resources"] if one["kind"] == "Traffic")
    assert {one["path"]: bool(one["waiver"]) for one in traffic["fields"]} == {
        "traffic.blue": False,
        "traffic.green": True,
    }
    assert (traffic["waived"], found["counts"]["waived"]) == (False, 0)


def test_a_waiver_counts_until_the_end_of_its_day_and_then_says_that_it_expired(split):
    write(split, waiver(expires=TODAY.isoformat()))
    assert split("drift").exit_code == 0
    write(split, waiver(expires=YESTERDAY))
    result = split("drift")
    assert result.exit_code == 2
    assert f"    waived by ana expired {YESTERDAY}: canary of the week" in result.stdout


def test_what_is_missing_or_unmanaged_is_waived_without_a_field(cli):
    cli("up")
    cli.file.write_text(cli.STACK.replace("name: green", "name: red"))
    named = cli.file.parent / "accepted.yaml"
    named.write_text(
        "waivers:\n"
        + waiver("Deployment/default/iris/red", field="")
        + waiver("Deployment/default/iris/green", field="")
    )
    assert cli("drift").exit_code == 2
    result = cli("drift", "--waivers", named)
    assert result.exit_code == 0
    assert "missing, waived: Deployment 'default/iris/red'" in result.stdout
    assert "unmanaged, waived: Deployment 'default/iris/green'" in result.stdout


@pytest.mark.parametrize(
    ("address", "field", "why"),
    [
        ("Endpoint/default/iris", "tags", ", that does not differ: remove it"),
        (
            "Endpoint/default/rose",
            "tags",
            ", there is no such resource in stack 'demo': remove it unless another stack has one",
        ),
        ("Endpoint/other/rose", "tags", ", there is no such resource in stack 'demo'"),
        (
            TRAFFIC,
            "",
            ": it names no field, and what differs there is traffic.blue, traffic.green; add",
        ),
    ],
)
@pytest.mark.parametrize("form", ["text", "json", "markdown", "junit"])
def test_a_waiver_of_nothing_is_told_in_every_format(split, address, field, why, form):
    write(split, waiver(address, field))
    result = split("drift", "--format", form)
    assert result.exit_code == 2
    named = f"{address} {field}".strip()
    note = f"the waiver of {named} by ana matches nothing{why}"
    assert note in result.stdout
    assert ("remove it" in result.stdout) == ("remove it" in why)


def test_what_cannot_be_read_is_not_waived_and_its_waiver_is_not_idle(split, monkeypatch):
    write(split, waiver(), waiver(field=""))
    silent = split.target.observe

    def observe(workspaces):
        state = silent(workspaces)
        there = state.resources[TRAFFIC].model_copy(
            update={"presence": "unknown", "reason": "no answer"}
        )
        return state.model_copy(update={"resources": {**state.resources, TRAFFIC: there}})

    monkeypatch.setattr(split.target, "observe", observe)
    result = split("drift")
    assert result.exit_code == 1
    assert "unreadable: Traffic 'default/iris' (no answer)" in result.stdout
    assert "matches nothing" not in result.stdout


def test_all_faults_of_a_file_of_waivers_are_told_with_their_lines(split):
    far = (TODAY + timedelta(days=400)).isoformat()
    split.waivers.write_text(
        "waivers:\n"
        "  - {address: iris, owner: ana, reason: why, expires: 2026-12-31}\n"
        f"  - {{address: {TRAFFIC}, owner: ana, reason: why}}\n"
        f"  - {{address: {TRAFFIC}, owner: '', reason: ' ', expires: soon, feild: x}}\n"
        f"  - {{address: {TRAFFIC}, owner: ana, reason: why, expires: {far}}}\n"
        f"  - {{address: {TRAFFIC}, owner: ana, reason: why, expires: {LATER}}}\n"
        f"  - {{address: {TRAFFIC}, owner: ana, reason: why, expires: 1790000000}}\n"
        "more: 1\n"
    )
    result = split("drift")
    assert result.exit_code == 1
    last = (TODAY + timedelta(days=366)).isoformat()
    assert [line.strip() for line in result.stderr.splitlines()[1:]] == [
        "line 2: waivers.0.address: not an address; write it like 'Deployment/default/iris/blue'",
        "line 3: waivers.1.expires: this field is missing; add it",
        "line 4: waivers.2.owner: empty; write at least one word",
        "line 4: waivers.2.reason: empty; write at least one word",
        "line 4: waivers.2.expires: not a day; write it like 2026-12-31",
        "line 4: waivers.2.feild: unknown field 'feild'; did you mean 'field'?",
        "line 5: waivers.3.expires: more than a year from now;"
        f" name a day until {last}, or declare what is accepted",
        "line 6: waivers.4: the same address and field as waivers.3; keep one of them",
        "line 7: waivers.5.expires: not a day; write it like 2026-12-31",
        "line 8: more: unknown field 'more'; known fields: waivers",
    ]


@pytest.mark.parametrize("content", [None, "[1]", "waivers: {", "\xff"])
def test_an_unreadable_file_of_waivers_is_an_error_and_no_review(split, content):
    named = split.file.parent / "accepted.yaml"
    if content is not None:
        named.write_text(content, encoding="latin-1")
    result = split("drift", "--waivers", named)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "accepted.yaml" in result.stderr


def test_a_history_says_since_when_and_how_often_in_every_format(split):
    first = split("drift", "--history", split.history)
    assert first.stdout.count("    seen in 1 review, first at ") == 2
    seen = json.loads(split("drift", "--history", split.history, "--json").stdout)
    traffic = next(one for one in seen["resources"] if one["kind"] == "Traffic")
    began = traffic["fields"][0]["sighting"]["first_seen"]
    assert [one["sighting"]["times_seen"] for one in traffic["fields"]] == [2, 2]
    shown = datetime.fromisoformat(began).isoformat(timespec="seconds")
    said = "seen in {} reviews, first at " + shown
    assert said.format(3) in split("drift", "--history", split.history).stdout
    row = split("drift", "--history", split.history, "--format", "markdown").stdout
    assert f"| {said.format(4)} |" in row
    junit = split("drift", "--history", split.history, "--format", "junit").stdout
    (failure,) = ElementTree.fromstring(junit).iter("failure")
    assert said.format(5) in str(failure.text)


def test_what_was_gone_in_between_begins_again(split):
    for _ in range(2):
        split("drift", "--history", split.history)
    split("up")
    assert split("drift", "--history", split.history).exit_code == 0
    assert json.loads(split.history.read_text())["findings"] == []
    split("split", "iris", "blue=90", "green=10")
    assert "seen in 1 review" in split("drift", "--history", split.history).stdout


@pytest.mark.parametrize("option", ["--history", "--waivers"])
def test_a_folder_in_place_of_a_file_is_named(split, option):
    result = split("drift", option, ".")
    assert result.exit_code == 1
    assert "cannot read '.': it is a directory" in result.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "it is no history of drift reviews; name another file\n"),
        ("name: demo", "it is no history of drift reviews; name another file\n"),
        ('{"name": "demo", "version": 1}', "it is no history of drift reviews; name another file"),
        (
            '{"version": 1, "stack": "demo", "findings": [5]}',
            "it is no history of drift reviews; delete it to start a new history, or name another",
        ),
        ('{"stack": "other", "findings": []}', "it is of stack 'other', not of 'demo'"),
        ('{"version": 2, "stack": "demo"}', "a newer release wrote it (version 2)"),
    ],
)
def test_a_history_that_is_none_of_this_stack_is_refused(split, content, said):
    split.history.write_text(content)
    result = split("drift", "--history", split.history)
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr
    assert split.history.read_text() == content


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
                                  "1969-12-31T00:00:00Z", "2026-11-27T10:00:00"])  # fmt: skip
def test_a_history_with_a_time_of_no_review_is_refused(split, time):
    split("drift", "--history", split.history)
    document = json.loads(split.history.read_text())
    document["findings"][0]["first_seen"] = time
    split.history.write_text(json.dumps(document))
    result = split("drift", "--history", split.history, "--format", "sarif")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "it is no history of drift reviews; delete it to start" in result.stderr


def test_a_review_with_waivers_and_history_changes_nothing_in_the_workspace(split):
    write(split, waiver())
    before = split.target.observe(("default",))
    split("drift", "--history", split.history)
    assert split.target.observe(("default",)) == before


@pytest.fixture
def changed(cli):
    """The command line over a stack of which three resources differ, one of them from below."""
    assert cli("up").exit_code == 0
    assert cli("split", "iris", "blue=90", "green=10").exit_code == 0
    text = cli.STACK.replace("endpoints: [{name: iris}]", "endpoints: [{name: iris, tags: {a: b}}]")
    cli.file.write_text(text.replace("PASSWORD: hunter2", "PASSWORD: hunter3"))
    return cli


ENDPOINT, BLUE, GREEN = (
    "Endpoint/default/iris",
    "Deployment/default/iris/blue",
    "Deployment/default/iris/green",
)


def drifted(cli) -> list[str]:
    found = json.loads(cli("drift", "--json").stdout)["resources"]
    return [one["address"] for one in found if one["verdict"] != "clean"]


def test_exactly_the_named_resources_are_fixed_and_the_report_is_of_afterwards(changed):
    assert drifted(changed) == [ENDPOINT, BLUE, TRAFFIC]
    result = changed("drift", "--fix", ENDPOINT, "--fix", BLUE)
    assert result.stdout.startswith("demo: 1 drifted, 0 missing, 0 unmanaged, 5 clean")
    assert result.exit_code == 2
    assert "  ~ Endpoint 'default/iris'" in result.stderr
    assert "2 to update; 3 unchanged" in result.stderr
    assert drifted(changed) == [TRAFFIC]
    (entry,) = [
        one
        for one in changed.target.journal("default")
        if one.id.address == ENDPOINT and one.action == "update"
    ]
    assert entry.actor.command == "inferctl drift --fix"
    assert changed("drift", "--fix", TRAFFIC).exit_code == 0


def test_a_fix_on_top_of_what_differs_too_is_refused_and_names_it(changed):
    result = changed("drift", "--fix", TRAFFIC)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        "error: --fix has 2 faults:",
        f"  {TRAFFIC}: Endpoint 'default/iris', on which it depends, differs too;"
        f" add --fix {ENDPOINT}",
        f"  {TRAFFIC}: Deployment 'default/iris/blue', on which it depends, differs too;"
        f" add --fix {BLUE}",
    ]
    assert drifted(changed) == [ENDPOINT, BLUE, TRAFFIC]
    assert changed("drift", *(f"--fix={one}" for one in (TRAFFIC, ENDPOINT, BLUE))).exit_code == 0


def test_all_addresses_that_name_nothing_are_refused_at_once(changed):
    result = changed("drift", "--fix", "iris", "--fix", "Deployment/default/iris/red")
    assert result.exit_code == 1
    assert [line.strip() for line in result.stderr.splitlines()[1:]] == [
        "iris: not an address; write it like 'Deployment/default/iris/blue'",
        "Deployment/default/iris/red: the stack neither declares nor owns"
        " Deployment 'default/iris/red'; `inferctl drift --json` prints addresses",
    ]


def test_a_fix_of_what_is_as_declared_says_so(changed):
    result = changed("drift", "--fix", GREEN, "--fix", ENDPOINT)
    assert "Deployment 'default/iris/green' is as declared: nothing to fix" in result.stderr
    assert drifted(changed) == [BLUE, TRAFFIC]


def test_a_fix_that_deletes_asks_as_up_does(cli):
    cli("up")
    cli.file.write_text("\n".join(one for one in cli.STACK.splitlines() if "green" not in one))
    assert drifted(cli) == [GREEN]
    asked = cli("drift", "--fix", GREEN)
    assert asked.exit_code == 1
    assert asked.stderr.splitlines()[-1] == (
        "error: delete 1 resource: cannot prompt: stdin is not a terminal; nothing was changed;"
        " pass -y to delete"
    )
    assert cli("drift", "--fix", GREEN, interactive=True, said="n\n").exit_code == 1
    assert drifted(cli) == [GREEN]
    assert cli("drift", "--fix", GREEN, "-y").exit_code == 0


def test_a_fix_of_what_others_stand_on_is_refused_where_it_would_delete_it(cli):
    cli("up")
    cli.file.write_text(cli.ONLY_ENDPOINT.replace("endpoints: [{name: iris}]\n", ""))
    result = cli("drift", "--fix", ENDPOINT, "-y")
    assert result.exit_code == 1
    assert ENDPOINT in drifted(cli)
