"""inferctl on one endpoint that is there: logs, split, keys, start, stop."""

import json

import pytest

from inference_provider.errors import TargetUnreachable


def test_logs_prints_the_last_lines_and_wants_both_names(served):
    said = "iris.blue.1a2b.0: two\niris.blue.1a2b.0: three\n"
    assert served("logs", "iris/blue", "--lines", "2").stdout == said
    one = served("logs", "iris")
    assert one.exit_code == 1
    assert "DEPLOYMENT: 'iris' is not ENDPOINT/DEPLOYMENT; write iris/blue" in one.stderr
    assert served("logs", "iris/red").exit_code == 1


def test_split_by_hand_is_drift_that_names_who_did_it_and_up_mends(cli):
    cli("up")
    assert cli("split", "iris", "blue=50", "green=50").exit_code == 0
    found = cli("drift")
    assert found.exit_code == 2
    assert "traffic.blue: declared 100 | recorded 50 | live 50" in found.stdout
    assert "(inferctl split)" in found.stdout
    cli("up")
    assert cli("drift").exit_code == 0


def test_split_to_a_missing_deployment_is_refused_in_a_sentence(cli):
    cli("up")
    result = cli("split", "iris", "red=100")
    assert result.exit_code == 1
    assert "no deployment 'red' behind endpoint 'iris'" in result.stderr


@pytest.mark.parametrize("shares", [["blue=60"], ["blue"], ["blue=x"], ["blue=101"]])
def test_split_of_bad_shares_is_refused_and_nothing_changes(cli, shares):
    cli("up")
    assert cli("split", "iris", *shares).exit_code == 1
    assert cli("plan").exit_code == 0


@pytest.mark.parametrize(
    ("shares", "reason"),
    [
        (
            ["blue", "100"],
            "'blue' is not NAME=PERCENT; write each deployment once: blue=90 green=10",
        ),
        (["blue=50", "blue=50"], "'blue' is given twice; write each deployment once"),
        (["blue=²"], "'blue=²' is not NAME=PERCENT; write each deployment once"),
    ],
)
def test_a_share_that_is_miswritten_is_named_with_its_form(cli, shares, reason):
    cli("up")
    assert f"SHARES: {reason}" in cli("split", "iris", *shares).stderr


def test_keys_show_prints_and_rotate_changes_one(cli):
    cli("up")
    before = json.loads(cli("keys", "show", "iris", "--json").stdout)
    rotated = cli("keys", "rotate", "iris", "--key", "secondary")
    after = json.loads(cli("keys", "show", "iris", "--json").stdout)
    assert before["primary_key"] == after["primary_key"]
    assert before["secondary_key"] != after["secondary_key"]
    assert after["secondary_key"] not in rotated.output


def test_start_and_stop_say_what_they_did(cli):
    cli("up")
    assert cli("stop").stdout == "stopped workspace 'default'\n"
    assert cli("start", "-w", "default").stdout == "started workspace 'default'\n"


def test_split_json_is_the_split_that_holds_now(cli):
    cli("up")
    result = cli("split", "iris", "blue=50", "green=50", "--json")
    assert json.loads(result.stdout) == {
        "workspace": "default", "endpoint": "iris",
        "traffic": {"blue": 50, "green": 50}, "mirror_traffic": {},
    }  # fmt: skip
    assert "Traffic 'default/iris' updated" in result.stderr


def test_start_and_stop_json_name_the_workspaces(cli):
    cli("up")
    assert json.loads(cli("stop", "--json").stdout) == {"stopped": ["default"]}
    assert json.loads(cli("start", "--json").stdout) == {"started": ["default"]}


def test_keys_rotate_json_names_the_key_and_never_shows_it(cli):
    cli("up")
    result = cli("keys", "rotate", "iris", "--key", "secondary", "--json")
    assert json.loads(result.stdout) == {
        "workspace": "default", "endpoint": "iris", "rotated": "secondary_key",
        "see": "inferctl keys show iris",
    }  # fmt: skip
    shown = json.loads(cli("keys", "show", "iris", "--json").stdout)
    assert [key for key in shown.values() if key in result.output] == []


def test_a_target_that_does_not_answer_is_said_to_be_silent_and_not_empty(served):
    def silent(_resource):
        raise TargetUnreachable("open", "the host", "it does not answer")

    served.target.record = silent
    for command in (["score", "iris", "--data", "-"], ["keys", "show", "iris"]):
        done = served(*command, said="[1]")
        assert done.exit_code == 1
        assert "find Endpoint 'default/iris': open the host: it does not answer" in done.stderr
