"""`inferctl access token`, `revoke` and `rotate`: by what the workspace service knows somebody."""

import json

import jwt
import pytest


@pytest.fixture
def asked(served):
    """The command line beside a stack whose workspace has a service, and an identity."""
    text = served.file.read_text()
    assert "workspaces: [{" in text
    text = text.replace("workspaces: [{", "workspaces: [{service: {port: 18443}, ", 1)
    served.file.write_text(f"{text}\nidentities: [{{name: robot}}]\n")
    assert served("up", "-y").exit_code == 0
    return served


def claims(text):
    return jwt.decode(text, options={"verify_signature": False})


def told(cli, *command):
    result = cli("access", *command)
    assert result.exit_code == 1
    return result.stderr.strip()


def test_a_token_is_all_that_is_printed(asked):
    result = asked("access", "token", "robot")
    assert (result.exit_code, result.stderr) == (0, "")
    found = claims(result.stdout.removesuffix("\n"))
    assert (found["aud"], found["exp"] - found["iat"]) == ("urn:inference:default:service", 28_800)
    assert (found["principal_type"], found["sub"], found["groups"]) == ("identity", "robot", [])


def test_a_user_is_a_member_of_the_groups_that_are_named(asked):
    words = ("token", "user:ann", "--group", "ops", "--group", "dev", "--minutes", "10")
    found = claims(asked("access", *words).stdout.strip())
    assert (found["principal_type"], found["sub"]) == ("user", "ann")
    assert (found["groups"], found["exp"] - found["iat"]) == (["ops", "dev"], 600)


def test_a_token_is_revoked_by_the_id_that_json_and_the_journal_tell(asked):
    found = json.loads(asked("access", "token", "robot", "--json").stdout)
    assert list(found) == [
        *("id", "accessToken", "expiryTimeUtc", "refreshAfterTimeUtc", "tokenType")
    ]
    assert f"{found['id']} for identity 'robot', until " in asked("journal").stdout
    result = asked("access", "revoke", found["id"])
    assert result.stdout == f"revoked token {found['id']} of workspace 'default'\n"
    assert told(asked, "revoke", "nothing") == (
        "error: revoke a token of workspace 'default': 'nothing' is no id, which has 32 of the"
        " letters 0-9 and a-f; `inferctl journal` tells the ids"
    )
    assert asked("access", "revoke", "0" * 32).stdout == (
        f"revoked token {'0' * 32} of workspace 'default'; the journal does not say that there"
        " was one, so check the id\n"
    )


def test_the_key_that_signs_is_rotated(asked):
    before = jwt.get_unverified_header(asked("access", "token", "robot").stdout.strip())
    assert asked("access", "rotate").stdout == (
        "rotated the key that signs tokens of workspace 'default'\n"
    )
    after = jwt.get_unverified_header(asked("access", "token", "robot").stdout.strip())
    assert before["kid"] != after["kid"]


def test_what_asks_nobody_and_what_is_not_there_is_refused(asked):
    assert told(asked, "token", "group:ops") == (
        "error: the command line has 1 fault:\n"
        "  group:ops: a group asks nobody; name a member, with --group for the group"
    )
    assert told(asked, "token", "identity:nobody") == (
        "error: find Identity 'default/nobody': not found; run `inferctl status` to list what"
        " there is"
    )


def test_a_workspace_without_a_service_gives_none(served):
    told_so = (
        "Workspace 'default': it has no service that would take one;"
        " declare `service: {port: 18443}` of it, and apply that"
    )
    assert told(served, "token", "user:ann") == f"error: make a token of {told_so}"
    assert told(served, "rotate") == f"error: rotate the signing key of {told_so}"


def test_the_journal_tells_the_groups_that_a_token_names(asked):
    assert asked("access", "token", "user:ann", "--group", "ops", "--group", "dev").exit_code == 0
    assert " for user 'ann' in ops, dev, until " in asked("journal").stdout


def test_nobody_and_groups_that_no_token_can_name_are_refused(asked):
    assert told(asked, "token", "user:") == (
        "error: the command line has 1 fault:\n"
        "  user:: names nobody; write a name behind it: user:ann"
    )
    groups = ("--group", "dev", "--group", "\x1b[31m", "--group", "x" * 201)
    assert told(asked, "token", "user:ann", *groups) == (
        "error: Workspace 'default' has 2 faults:\n"
        "  group 2: a name has 1 to 200 letters, all of which can be written down\n"
        "  group 3: a name has 1 to 200 letters, all of which can be written down"
    )
    many = [word for n in range(100) for word in ("--group", f"{n:0>200}")]
    assert told(asked, "token", "user:ann", *many) == (
        "error: Workspace 'default' has 1 fault:\n"
        "  groups: a token that names 100 is longer than one that is taken; name fewer"
    )
