"""What a stack file may say of an endpoint's keys, and that it shows them nowhere."""

import pytest
from tests.stack_files import GOOD, faults, load

ENDPOINT = "  - name: iris-ep\n"
KEY, OTHER = "a-key-of-ours-4711", "another-key-of-ours"


def written(*lines):
    text = "".join(f"    {line}\n" for line in lines)
    return GOOD.replace(ENDPOINT, ENDPOINT + text)


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        pytest.param(
            ["keys: {primary: short-4711}"],
            "line 10: endpoints.0.keys.primary: 10 characters; expected 16 to 256",
            id="short",
        ),
        pytest.param(
            ["keys: {primary: 'a key of ours-4711'}"],
            "line 10: endpoints.0.keys.primary: expected visible ASCII characters,"
            " without blanks and commas",
            id="a blank",
        ),
        pytest.param(
            [f"keys: {{primary: {KEY}, secondary: {KEY}}}"],
            "line 9: endpoints.0: keys.primary and keys.secondary are the same; expected two keys",
            id="the same",
        ),
        pytest.param(
            [f"keys: {{tertiary: {KEY}}}"],
            "line 10: endpoints.0.keys.tertiary: not a known value; use 'primary' or 'secondary'",
            id="no such key",
        ),
        pytest.param(
            ["auth_mode: aml_token", f"keys: {{primary: {KEY}}}", "key_rotations: {secondary: 1}"],
            "line 9: endpoints.0: keys.primary and key_rotations.secondary: an endpoint of"
            " auth_mode aml_token has no such key; leave it out",
            id="of the other mode",
        ),
        pytest.param(
            ["key_rotations: {signing: 1}"],
            "line 9: endpoints.0: key_rotations.signing: an endpoint of auth_mode key"
            " has no such key; leave it out",
            id="no tokens",
        ),
        pytest.param(
            [f"keys: {{primary: {KEY}}}", "key_rotations: {primary: 1}"],
            "line 9: endpoints.0: keys.primary is yours; change it there,"
            " not by key_rotations.primary",
            id="both",
        ),
        pytest.param(
            ["key_rotations: {primary: -1}"],
            "line 10: endpoints.0.key_rotations.primary: below the limit of 0; raise it",
            id="less than none",
        ),
    ],
)
def test_what_cannot_be_is_refused_and_no_key_is_shown(folder, lines, fault):
    found = faults(folder, written(*lines))
    assert found == [fault]
    assert KEY not in str(found)


def test_a_key_may_come_from_a_variable(folder, monkeypatch):
    monkeypatch.setenv("IRIS_KEY", KEY)
    stack = load(folder, written('keys: {primary: "${env:IRIS_KEY}"}'))
    assert stack.endpoints[0].keys["primary"].get_secret_value() == KEY
    assert KEY not in repr(stack)


def test_plans_drift_and_records_show_no_key_of_a_user(cli):
    text = cli.file.read_text()
    assert "endpoints: [{name: iris}]" in text
    own = f"endpoints: [{{name: iris, keys: {{primary: {KEY}}}}}]"
    cli.file.write_text(text.replace("endpoints: [{name: iris}]", own))
    commands = (["plan"], ["up", "-y"], ["plan"], ["drift"], ["status", "--json"])
    said = [cli(*command).output for command in commands]
    cli.file.write_text(text.replace("endpoints: [{name: iris}]", own.replace(KEY, OTHER)))
    change = cli("plan").output
    assert "keys.primary" in change
    records = cli.target.platform.ports("default").records
    said += [change, cli("drift").output, str(records.section("records"))]
    assert [KEY in one or OTHER in one for one in said] == [False] * 8
    assert cli("up", "-y").exit_code == 0
    assert f"primary_key: {OTHER}\n" in cli("keys", "show", "iris").stdout
