"""A real engine: keys of the program's own, rotations by a count, and an endpoint of tokens."""

import shutil

import pytest
from tests.pulumi.conftest import TYPED

pytestmark = [
    pytest.mark.pulumi,
    pytest.mark.local,
    pytest.mark.timeout(400),
    pytest.mark.skipif(shutil.which("pulumi") is None, reason="no pulumi engine on PATH"),
]
PLAIN = 'inference.Endpoint("echo", workspace=space.name)'
SECOND = 'pulumi.export("edge/echo second", echo.secondary_key)\n'
OWN, OTHER = "a-key-of-ours-4711", "another-key-of-ours"
HOOK = "https://hooks.example.org/T0KEN-4711"


def typed(program, arguments):
    """Write the typed program with more arguments of its endpoint."""
    assert PLAIN in TYPED
    text = TYPED.replace(PLAIN, f"{PLAIN.removesuffix(')')}, {arguments})") + SECOND
    program.write(text.replace("ROUTER_PORT", str(program.router_port)))


def score(program, key):
    """Return the status of one request with a key or token."""
    return program.score({**program.output(), "edge/echo key": key})


def test_a_key_of_the_program_comes_from_its_secrets_and_stands_nowhere_in_clear(program):
    program.pulumi("config", "set", "--secret", "key", OWN)
    typed(program, 'keys={"primary": pulumi.Config().require_secret("key")}')
    said = program.pulumi("preview", "--diff") + program.up()
    program.expect_no_changes()
    made = program.output()
    assert made["edge/echo key"] == OWN
    assert [score(program, key) for key in (OWN, made["edge/echo second"])] == [200, 200]
    program.pulumi("config", "set", "--secret", "key", OTHER)
    said += program.pulumi("preview", "--diff") + program.up()
    program.expect_no_changes()
    assert [score(program, key) for key in (OTHER, OWN)] == [200, 401]
    for text in (said, program.held("dev")):
        assert [key for key in (OWN, OTHER) if key in text] == []


def test_another_count_of_rotations_rotates_one_key_once(program):
    typed(program, 'key_rotations={"primary": 1}')
    program.up()
    before = program.output()
    typed(program, 'key_rotations={"primary": 2}')
    program.up()
    program.expect_no_changes()
    after = program.output()
    assert after["edge/echo key"] != before["edge/echo key"]
    assert after["edge/echo second"] == before["edge/echo second"]
    keys = (before["edge/echo key"], after["edge/echo key"], after["edge/echo second"])
    assert [score(program, key) for key in keys] == [401, 200, 200]
    program.up()
    assert program.output() == after


def test_an_endpoint_of_tokens_is_made_refreshed_and_destroyed(program):
    typed(program, 'auth_mode="aml_token", key_rotations={"signing": 0}')
    program.up()
    program.expect_no_changes()
    first = program.inferctl("token", "echo", "--workspace", "edge").strip()
    assert [score(program, key) for key in (first, "x")] == [200, 401]
    typed(program, 'auth_mode="aml_token", key_rotations={"signing": 1}')
    program.up()
    program.expect_no_changes()
    second = program.inferctl("token", "echo", "--workspace", "edge").strip()
    assert [score(program, key) for key in (first, second)] == [200, 200]
    assert not [text for text in (first, second) if text in program.held("dev")]
    program.pulumi("destroy", "--yes", "--skip-preview")
    assert program.inferctl("status", "--workspace", "edge", "--json").strip() == "[]"


def test_a_webhook_of_an_alert_is_a_secret_and_its_rule_is_none(program):
    program.pulumi("config", "set", "--secret", "hook", HOOK)
    rule = '{"metric": "ErrorRate", "threshold": 5, "webhook": "ops"}'
    hook = '{"ops": pulumi.Config().require_secret("hook")}'
    typed(program, f'alerts={{"errors": {rule}}}, alert_webhooks={hook}')
    said = program.pulumi("preview", "--diff") + program.up()
    program.expect_no_changes()
    typed(program, f'alerts={{"errors": {rule.replace("5", "7")}}}, alert_webhooks={hook}')
    changed = program.pulumi("preview", "--diff")
    said += changed + program.up()
    program.expect_no_changes()
    assert "threshold" in changed
    assert [text for text in (said, program.held("dev")) if HOOK in text] == []
