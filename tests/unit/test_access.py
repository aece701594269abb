"""Who may do what, where."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_provider.access import (
    BUILT_IN_ROLES,
    SCORE,
    Assignment,
    Principal,
    Role,
    Scope,
    allowed_callers,
    decide,
    manager_note,
    roles_with,
)
from inference_provider.spec.roles import action_name, role_name

ML = "Microsoft.MachineLearningServices/workspaces"
ANN = Principal("user", "ann")
ROLES = roles_with(None)


def assignment(role, scope="", principal="ann", kind="user", name="one"):
    fields = {"name": name, "principal": principal, "principal_type": kind, "role": role}
    return Assignment.of({**fields, "scope": scope})


# -- roles -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "action", "allowed"),
    [
        ("Owner", SCORE, True),
        ("Owner", "Microsoft.Authorization/roleAssignments/write", True),
        ("Contributor", SCORE, True),
        ("Contributor", "Microsoft.Authorization/roleAssignments/write", False),
        ("Contributor", "Microsoft.Authorization/roleAssignments/read", True),
        ("Reader", f"{ML}/onlineEndpoints/read", True),
        ("Reader", SCORE, False),
        ("User Access Administrator", "Microsoft.Authorization/roleAssignments/write", True),
        ("User Access Administrator", SCORE, False),
        ("AzureML Data Scientist", SCORE, True),
        ("AzureML Data Scientist", f"{ML}/connections/listsecrets/action", True),
        ("AzureML Data Scientist", f"{ML}/onlineEndpoints/deployments/write", True),
        ("AzureML Data Scientist", f"{ML}/computes/listKeys/action", False),
        ("AzureML Data Scientist", f"{ML}/write", False),
        ("AzureML Data Scientist", "Microsoft.Authorization/roleAssignments/write", False),
        ("AzureML Metrics Writer", f"{ML}/metrics/cpu/write", True),
        ("AzureML Metrics Writer", f"{ML}/metrics/cpu/read", False),
        ("AcrPull", "Microsoft.ContainerRegistry/registries/pull/read", True),
        ("AcrPull", "Microsoft.ContainerRegistry/registries/push/write", False),
        ("AcrPush", "Microsoft.ContainerRegistry/registries/pull/read", True),
        (
            "Storage Blob Data Reader",
            "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read",
            True,
        ),
        (
            "Storage Blob Data Reader",
            "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write",
            False,
        ),
        (
            "Azure Machine Learning Workspace Connection Secrets Reader",
            f"{ML}/connections/listsecrets/action",
            True,
        ),
        ("Azure Machine Learning Workspace Connection Secrets Reader", SCORE, False),
    ],
)
def test_a_built_in_role_allows_what_azures_does(role, action, allowed):
    assert BUILT_IN_ROLES[role].allows(action) is allowed


@pytest.mark.parametrize(
    ("pattern", "action", "allowed"),
    [
        ("a/*/read", "a/b/read", True),
        ("a/*/read", "a/b/c/read", True),
        ("a/*/read", "a/read", False),
        ("a/*", "a/", True),
        ("*/read", "A/B/READ", True),
        ("a.b/read", "axb/read", False),
        ("a/[b]/read", "a/b/read", False),
        ("a/read", "a/read/more", False),
    ],
)
def test_a_star_stands_for_any_text_and_nothing_else_is_special(pattern, action, allowed):
    assert Role("r", (pattern,)).allows(action) is allowed


@pytest.mark.parametrize(
    "pattern", ["*" * 100 + "x", "*e" * 100, "*e*" * 9 + "e*x", "*/" * 3 + "x"]
)
def test_a_pattern_of_many_stars_is_decided_at_once(pattern):
    assert not Role("own", (pattern,)).allows(SCORE)  # else it would take years


def test_what_not_actions_name_is_taken_out():
    role = Role("r", ("a/*",), ("a/*/write", "a/keys/action"))
    found = [role.allows(one) for one in ("a/b/read", "a/b/WRITE", "a/keys/action", "b/read")]
    assert found == [True, False, False, False]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("acrpull", "AcrPull"),
        ("ACR Pull", "AcrPull"),
        ("  owner ", "Owner"),
        ("Data Scientist", "AzureML Data Scientist"),
        (
            "Connection Secrets Reader",
            "Azure Machine Learning Workspace Connection Secrets Reader",
        ),
        ("Workspace metrics writer", "AzureML Metrics Writer"),
        ("AzureML Metrics Writer (preview)", "AzureML Metrics Writer"),
        ("Enregistreur", "AzureML Metrics Writer"),
        ("Auteur de métriques d\u2019espace de travail", "AzureML Metrics Writer"),
        ("Scorer", "Scorer"),
    ],
)
def test_spellings_of_a_built_in_role_are_one_role(written, meant):
    assert role_name(written) == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (
            "Microsoft.MachineLearningService/workspaces/datastores/read",
            "Microsoft.MachineLearningServices/workspaces/datastores/read",
        ),
        (
            "MachineLearningService/workspace/workspace/datastore/reader",
            "Microsoft.MachineLearningServices/workspaces/datastores/read",
        ),
        ("Microsoft.Storage/read", "Microsoft.Storage/read"),
    ],
)
def test_spellings_of_an_action_are_one_action(written, meant):
    assert action_name(written) == meant


def test_an_action_spelled_in_the_other_way_is_allowed_by_a_role_of_either():
    written = "Microsoft.MachineLearningService/workspaces/datastores/read"
    assert Role("r", (written,)).allows(
        "Microsoft.MachineLearningServices/workspaces/datastores/read"
    )
    assert BUILT_IN_ROLES["AzureML Data Scientist"].allows(written)


# -- scopes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outer", "inner", "covers"),
    [
        ("", "", True),
        ("workspace", "endpoints/iris", True),
        ("", "connections/openai", True),
        ("", "registries/hub.example.org/team", True),
        ("", "stores/models", True),
        ("endpoints/iris", "endpoints/iris", True),
        ("endpoints/iris", "endpoints/Iris/deployments/blue", True),
        ("endpoints/iris", "", False),
        ("endpoints/iris", "endpoints/iris2", False),
        ("endpoints/iris/deployments/blue", "endpoints/iris", False),
        ("endpoints/iris/deployments/blue", "endpoints/iris/deployments/green", False),
        ("connections/iris", "endpoints/iris", False),
        ("registries/hub.example.org", "registries/hub.example.org/team", True),
        ("registries/hub.example.org/team", "registries/hub.example.org", False),
    ],
)
def test_a_scope_covers_what_is_inside_it(outer, inner, covers):
    assert Scope.parse(outer).covers(Scope.parse(inner)) is covers


# -- decisions -------------------------------------------------------------------------------------


def test_a_decision_names_the_assignment_that_allows_it():
    one = assignment("Data Scientist", "endpoints/iris", name="ann-scores")
    found = decide(ANN, (), SCORE, Scope.endpoint("iris", "blue"), assignments=[one], roles=ROLES)
    assert (found.allowed, found.by) == (True, one)
    assert found.reason == (
        "user 'ann' is allowed by role assignment 'ann-scores':"
        " AzureML Data Scientist on endpoints/iris"
    )


def test_a_member_of_a_group_has_its_roles():
    one = assignment("Owner", principal="ops", kind="group")
    denied = decide(ANN, ("dev",), SCORE, Scope(), assignments=[one], roles=ROLES)
    found = decide(ANN, ("dev", "ops"), SCORE, Scope(), assignments=[one], roles=ROLES)
    assert (denied.allowed, found.allowed) == (False, True)
    assert found.reason == (
        "user 'ann' is allowed by role assignment 'one': Owner on the workspace,"
        " as a member of group 'ops'"
    )


def test_a_refusal_says_why_each_assignment_of_the_principal_does_not_help():
    held = [
        assignment("Reader", name="reads"),
        assignment("Owner", "endpoints/other", name="owns"),
        assignment("Gone", name="lost"),
        assignment("Owner", principal="bob", name="of-bob"),
    ]
    found = decide(ANN, (), SCORE, Scope.endpoint("iris"), assignments=held, roles=ROLES)
    assert (found.allowed, found.by) == (False, None)
    assert found.reason == (
        "no role assignment of user 'ann' allows"
        " Microsoft.MachineLearningServices/workspaces/onlineEndpoints/score/action"
        " on endpoints/iris;"
        " role assignment 'reads': Reader on the workspace does not include it;"
        " role assignment 'owns': Owner on endpoints/other does not reach endpoints/iris;"
        " role assignment 'lost': Gone on the workspace names a role that is not there"
    )


def test_a_user_an_identity_and_a_group_of_one_name_are_three_principals():
    one = assignment("Owner")
    named_so = (Principal("user", "ann"), Principal("identity", "ann"), Principal("group", "ann"))
    found = [
        decide(who, (), SCORE, Scope(), assignments=[one], roles=ROLES).allowed for who in named_so
    ]
    assert found == [True, False, False]


def test_what_one_role_takes_out_another_may_give():
    action = "Microsoft.Authorization/roleAssignments/write"
    held = [assignment("Contributor"), assignment("User Access Administrator", name="two")]
    assert not decide(ANN, (), action, Scope(), assignments=held[:1], roles=ROLES).allowed
    assert decide(ANN, (), action, Scope(), assignments=held, roles=ROLES).by == held[1]


def test_a_custom_role_is_used_as_a_built_in_one_and_replaces_none():
    roles = roles_with(
        {
            "Scorer": {"actions": [SCORE], "not_actions": []},
            "Reader": {"actions": ["*"], "not_actions": []},
        }
    )
    assert decide(ANN, (), SCORE, Scope(), assignments=[assignment("Scorer")], roles=roles).allowed
    assert not decide(
        ANN, (), SCORE, Scope(), assignments=[assignment("Reader")], roles=roles
    ).allowed


def test_callers_of_an_endpoint_and_of_one_deployment():
    held = [
        assignment("Data Scientist", name="all"),
        assignment("Owner", "endpoints/iris", "ops", "group", name="ops"),
        assignment("Owner", "endpoints/iris/deployments/blue", "bob", name="blue"),
        assignment("Owner", "endpoints/other", "eve", name="other"),
        assignment("Reader", "", "rita", name="reads"),
        assignment("Contributor", "endpoints/iris", "batch", "identity", name="batch"),
    ]
    everywhere = {ANN, Principal("group", "ops"), Principal("identity", "batch")}
    assert allowed_callers(Scope.endpoint("iris"), held, ROLES) == everywhere
    blue = allowed_callers(Scope.endpoint("iris", "blue"), held, ROLES)
    assert blue == everywhere | {Principal("user", "bob")}
    assert allowed_callers(Scope.endpoint("iris", "green"), held, ROLES) == everywhere


# -- against a second way to decide ----------------------------------------------------------------


def _stars(pattern, text):
    """Match by trying every place a star may end at."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(_stars(pattern[1:], text[i:]) for i in range(len(text) + 1))
    return text[:1] == pattern[0] and _stars(pattern[1:], text[1:])


def _naively(caller, action, where, held, roles):
    """Grant what each line grants, whatever the lines before it."""
    names = {("user", caller[0])} | {("group", group) for group in caller[1]}
    granted = False
    for principal, role, scope in held:
        if principal not in names or role not in roles:
            continue
        actions, not_actions = roles[role]
        listed = [p for p in actions if _stars(p, action)]
        removed = [p for p in not_actions if _stars(p, action)]
        within = scope in ("", where) or where.startswith(f"{scope}/")
        granted = granted or (bool(listed) and not removed and within)
    return granted


_WORDS = st.sampled_from(["a", "b", "*", "a*", "read", "write"])
_PATTERN = st.lists(_WORDS, min_size=1, max_size=3).map("/".join)
_ACTION = st.lists(st.sampled_from(["a", "b", "ab", "read", "write"]), min_size=1, max_size=3)
_SCOPE = st.sampled_from(
    ["", "endpoints/a", "endpoints/ab", "endpoints/a/deployments/b", "connections/a", "stores/a"]
)
_WHO = st.tuples(st.sampled_from(["user", "group"]), st.sampled_from(["x", "y", "z"]))
_HELD = st.lists(st.tuples(_WHO, st.sampled_from(["r", "s", "t", "gone"]), _SCOPE), max_size=6)
_SETS = st.tuples(st.lists(_PATTERN, max_size=3), st.lists(_PATTERN, max_size=2))


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(
    caller=st.tuples(st.sampled_from(["x", "y"]), st.sets(st.sampled_from(["x", "y", "z"]))),
    action=_ACTION.map("/".join),
    where=_SCOPE,
    held=_HELD,
    sets=st.fixed_dictionaries({"r": _SETS, "s": _SETS, "t": _SETS}),
)
def test_decisions_are_those_of_a_plainer_way(caller, action, where, held, sets):
    who, groups = caller
    roles = {name: Role(name, tuple(yes), tuple(no)) for name, (yes, no) in sets.items()}
    given_ = [
        assignment(role, scope, name, kind, name=f"a{i}")
        for i, ((kind, name), role, scope) in enumerate(held)
    ]
    found = decide(
        Principal("user", who), groups, action, Scope.parse(where), assignments=given_, roles=roles
    )
    assert found.allowed is _naively(caller, action, where, held, sets)
    assert (found.by is not None) is found.allowed


# -- deploying by oneself -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param(
            assignment("Data Scientist", principal="robot", kind="identity"),
            "it lets identity 'robot' deploy by itself, as account-robot, and read all keys",
            id="deploys",
        ),
        pytest.param(
            assignment("Owner", "endpoints/iris", "robot", "identity"),
            "it does not let identity 'robot' deploy by itself: it holds on endpoints/iris, and not"
            " on the whole workspace",
            id="less than the workspace",
        ),
        pytest.param(
            assignment("Reader", principal="robot", kind="identity"),
            "it does not let identity 'robot' deploy by itself: its role does not allow"
            f" {ML}/onlineEndpoints/write",
            id="reads",
        ),
        pytest.param(
            assignment("Owner", principal="endpoints/iris", kind="identity"),
            "it does not let identity 'endpoints/iris' deploy by itself: identity 'endpoints/iris'"
            " is not an identity of the workspace",
            id="an endpoint's own",
        ),
        pytest.param(
            assignment("Gone", principal="robot", kind="identity"),
            "it does not let identity 'robot' deploy by itself: its role is not there",
            id="no role",
        ),
        pytest.param(assignment("Owner"), "", id="a user"),
    ],
)
def test_whether_an_assignment_lets_an_identity_deploy_by_itself_is_said(given, said):
    assert manager_note(given, ROLES, "account-{}".format) == said
    assert manager_note(given, ROLES, None) == ""


def test_a_role_of_ones_own_without_the_right_to_read_keys_does_not_deploy():
    roles = roles_with({"Ops": {"actions": ["*"], "not_actions": ["*/listKeys/action"]}})
    given = assignment("Ops", principal="robot", kind="identity")
    assert "does not allow" in manager_note(given, roles, str)
