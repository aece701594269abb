"""`inferctl access`: who may score an endpoint, and why."""

import json

import pytest

GRANTED = """
identities: [{name: robot}]
role_assignments:
  - {name: ops-own, principal: ops, principal_type: group, role: Owner}
  - {name: ann-scores, principal: ann, principal_type: user, role: Scorer, scope: endpoints/iris}
  - {name: bob-blue, principal: bob, principal_type: user, role: Data Scientist,
     scope: endpoints/iris/deployments/blue}
  - {name: robot-reads, principal: robot, role: Reader}
"""
PROVIDER = "identity_provider: {issuer: https://a.test, audience: b, jwks_uri: https://a.test/k}"
ROLES = "roles: {Scorer: {actions: ['*/onlineEndpoints/score/action']}}"
SCORE = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/score/action"


@pytest.fixture
def granted(cli):
    """The command line beside a stack with role assignments."""
    text = cli.file.read_text().replace("target: memory}", f"target: memory, {ROLES}, {PROVIDER}}}")
    text = text.replace("{name: iris}", "{name: iris, auth_mode: aad_token}")
    cli.file.write_text(text + GRANTED)
    assert cli("up", "-y").exit_code == 0
    return cli


def test_who_can_score_an_endpoint_and_by_what(granted):
    result = granted("access", "who-can", "iris")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "user 'ann': role assignment 'ann-scores': Scorer on endpoints/iris",
        "group 'ops': role assignment 'ops-own': Owner on the workspace",
    ]


def test_who_can_score_one_deployment(granted):
    found = json.loads(
        granted("access", "who-can", "iris", "--deployment", "blue", "--json").stdout
    )
    assert [one["principal"] for one in found.pop("allowed")] == ["ann", "bob", "ops"]
    assert found == {
        "workspace": "default",
        "scope": "endpoints/iris/deployments/blue",
        "action": SCORE,
        "auth_mode": "aad_token",
    }
    result = granted("access", "who-can", "iris", "-d", "gone")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Deployment 'default/iris/gone': not found" in result.stderr


def test_nobody_is_said(granted):
    granted.file.write_text(granted.file.read_text().replace(GRANTED, ""))
    assert granted("up", "-y").exit_code == 0
    result = granted("access", "who-can", "iris")
    assert result.stdout == "no role assignment allows anybody to score endpoints/iris\n"


def test_roles_do_not_count_where_keys_do(granted):
    text = granted.file.read_text().replace("{name: iris, auth_mode: aad_token}", "{name: iris}")
    granted.file.write_text(text)
    assert granted("up", "-y").exit_code == 0
    assert granted("access", "who-can", "iris").stdout == (
        "whoever has one of its keys scores; its auth_mode is key, and roles do not count\n"
    )
    assert json.loads(granted("access", "who-can", "iris", "--json").stdout)["allowed"] == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (
            ("ann", "score", "endpoints/iris"),
            0,
            "allowed: user 'ann' is allowed by role assignment 'ann-scores': Scorer on"
            " endpoints/iris",
        ),
        (
            ("ann", "secrets", "workspace"),
            2,
            "denied: no role assignment of user 'ann' allows Microsoft.MachineLearningServices/"
            "workspaces/connections/listsecrets/action on the workspace; role assignment"
            " 'ann-scores': Scorer on endpoints/iris does not include it",
        ),
        (
            ("eve", SCORE, "endpoints/iris/deployments/blue", "--group", "ops"),
            0,
            "allowed: user 'eve' is allowed by role assignment 'ops-own': Owner on the workspace,"
            " as a member of group 'ops'",
        ),
        (
            ("robot", "score", "endpoints/iris"),
            2,
            f"denied: no role assignment of identity 'robot' allows {SCORE} on endpoints/iris;"
            " role assignment 'robot-reads': Reader on the workspace does not include it",
        ),
        (
            ("user:robot", "score", "endpoints/iris"),
            2,
            f"denied: no role assignment of user 'robot' allows {SCORE} on endpoints/iris",
        ),
        (
            ("endpoints/iris", "pull", "registries/hub.example.org"),
            0,
            "allowed: identity 'endpoints/iris' is allowed by role assignment 'automatic':"
            " AcrPull on the workspace",
        ),
    ],
)
def test_explain_names_the_assignment_or_says_why_not(granted, words, code, said):
    result = granted("access", "explain", *words)
    assert (result.exit_code, result.stderr) == (code, "")
    assert result.stdout == f"{said}\n"


def test_explain_as_json(granted):
    result = granted("access", "explain", "bob", "score", "endpoints/iris", "--json")
    found = json.loads(result.stdout)
    assert result.exit_code == 2
    assert (found["allowed"], found["role_assignment"], found["scope"]) == (
        *(False, None, "endpoints/iris"),
    )


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        ("iris", "iris: not a scope; leave it out for the workspace, or write endpoints/<name>,"),
        ("endpoints/gone", "Endpoint 'default/gone': not found"),
        ("endpoints/iris/deployments/gone", "Deployment 'default/iris/gone': not found"),
    ],
)
def test_a_scope_that_is_not_there_is_no_answer(granted, scope, said):
    result = granted("access", "explain", "ann", "score", scope)
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr


@pytest.mark.parametrize(
    ("principal", "action", "said"),
    [
        ("ann", "scroe", "scroe: not an action; use score, secrets, pull, blobs, or write it as"),
        ("identity:gone", "score", "Identity 'default/gone': not found"),
    ],
)
def test_an_action_or_identity_that_is_not_there_is_no_answer(granted, principal, action, said):
    result = granted("access", "explain", principal, action, "workspace")
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr
