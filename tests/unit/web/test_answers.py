"""What the workspace service answers to whom, over HTTP, without a socket."""

import pytest
from tests.unit.test_desk import BEN_CALLS, up
from tests.unit.web.asking import NOT_NOW, NOT_YOURS, Asking

from inference_provider.access import Principal
from inference_provider.web.application import BODY_BYTES


def test_the_answer_has_the_shape_of_azures(asking):
    answer = asking.get_token(asking.token())
    assert answer.status_code == 200
    assert sorted(answer.json()) == [
        "accessToken",
        "expiryTimeUtc",
        "refreshAfterTimeUtc",
        "tokenType",
    ]
    assert answer.headers["cache-control"] == "no-store"


def test_health_is_told_to_anybody(asking):
    answer = asking.ask("GET", "/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "Healthy"})


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 200),
        (b" \n", 200),
        (b'{"minutes": 1}', 200),
        (b'{"minutes": 60}', 200),
        (b'{"minutes": 61}', 400),
        (b'{"minutes": 0}', 400),
        (b'{"minutes": -5}', 400),
        (b'{"minutes": 1e9}', 400),
        (b'{"minutes": 99999999999999999999}', 400),
        (b'{"minutes": true}', 400),
        (b'{"minutes": "5"}', 400),
        (b'{"minutes": 5, "principal": "eve"}', 400),
        (b"{}", 400),
        (b"[]", 400),
        (b"[" * 4000, 400),
        (b"\xff\xfe", 400),
        (b"x" * (BODY_BYTES + 1), 413),
    ],
)
def test_a_body_asks_for_a_lifetime_within_bounds_or_for_nothing(asking, body, status):
    assert asking.get_token(asking.token(), content=body).status_code == status


def test_the_bounds_of_a_lifetime_are_told(asking):
    answer = asking.get_token(asking.token(), json={"minutes": 61})
    assert answer.json()["error"]["message"] == (
        "lifetime: 61 minutes; expected 1 to 60; ask for another one later"
    )


def test_what_is_not_there_and_what_is_not_ones_own_get_one_answer(asking):
    eve = asking.token(Principal("user", "eve"))
    names = ("iris", "rose", "nothing", "%2e%2e", "a" * 300, "iris%00", "iris%0a", "iris%2f..")
    answers = [asking.get_token(eve, name) for name in names]
    assert {answer.status_code for answer in answers[:7]} == {403}
    assert [answer.json() for answer in answers[:7]] == [NOT_YOURS] * 7
    assert answers[7].status_code == 400  # whatever there is
    assert asking.ask("POST", "/endpoints/rose/listKeys", eve).json() == NOT_YOURS
    assert asking.ask("GET", "/endpoints", eve).json() == {"value": []}


def test_who_may_is_told_what_is_wrong(asking):
    wide = Asking({**BEN_CALLS, "scope": ""})
    ben = wide.token()
    assert wide.get_token(ben, "nothing").status_code == 404
    for name in ("ab", "iris-", "ir--is", "iris%0a"):  # which no endpoint can have
        assert wide.get_token(ben, name).status_code == 403
    answer = wide.get_token(ben, "rose")
    assert answer.status_code == 409
    assert "its auth_mode is key" in answer.json()["error"]["message"]


def test_keys_and_the_list_are_given_to_who_may(asking):
    role = {"name": "ben-owns", "principal": "ben", "principal_type": "user", "role": "Owner"}
    owned = Asking(role)
    ben = owned.token()
    keys = owned.ask("POST", "/endpoints/rose/listKeys", ben)
    assert keys.status_code == 200
    assert sorted(keys.json()) == ["primaryKey", "secondaryKey"]
    assert owned.ask("POST", "/endpoints/iris/listKeys", ben).status_code == 409
    assert owned.ask("GET", "/endpoints", ben).json()["value"][0] == {
        "name": "iris",
        "authMode": "aml_token",
        "scoringUri": "http://127.0.0.1:18080/endpoints/iris/score",
    }


def test_a_role_that_is_taken_away_is_refused_at_once(asking):
    ben = asking.token()
    assert asking.get_token(ben).status_code == 200
    up(asking.target)
    assert asking.get_token(ben).status_code == 403


@pytest.mark.parametrize("record", ["RoleAssignment.ben-calls", "Workspace.lab"])
def test_while_records_do_not_tell_who_may_everybody_is_asked_to_wait_and_the_log_says_why(record):
    asking = Asking(BEN_CALLS)
    tokens = asking.token(), asking.token(Principal("user", "eve"))
    asking.corrupt("records", record)
    for _ in range(2):
        answers = [asking.get_token(token) for token in tokens]
        answers.append(asking.ask("GET", "/endpoints", tokens[1]))
        assert [(one.status_code, one.json()) for one in answers] == [(503, NOT_NOW)] * 3
    remedy = "restore it, or move it away and apply the stack again to recreate it"
    assert asking.log == [f"read records/{record}: file is corrupt; {remedy}"]


def test_a_key_that_cannot_be_read_makes_no_token_a_wrong_one(asking):
    ben = asking.token()
    asking.corrupt("signing", "_workspace")
    assert (asking.get_token(ben).status_code, asking.get_token("x").status_code) == (503, 401)
    assert "signing/_workspace" in asking.log[0]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/endpoints/iris", 404),
        ("GET", "/endpoints/iris/token", 405),
        ("POST", "/health", 405),
        ("DELETE", "/endpoints/iris/token", 405),
        ("POST", "/endpoints/iris/token/", 404),
        ("POST", "//endpoints/iris/token", 404),
    ],
)
def test_there_are_few_paths(asking, method, path, status):
    assert asking.ask(method, path, asking.token()).status_code == status
