"""What the workspace service answers to whom, over HTTP, without a socket."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterable

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from tests.memory import ANN, fill_journal
from tests.unit.test_desk import BEN, BEN_CALLS, HOUR, issued, journal, up

from inference_provider.access import Principal
from inference_provider.errors import OutOfCapacity, TargetError
from inference_provider.observed import Kind, ResourceId
from inference_provider.targets.memory import MemoryTarget
from inference_provider.web.application import BODY_BYTES, Service, application
from inference_provider.web.log import Log
from inference_provider.web.rates import Rates
from inference_provider.web.refusals import MOST_KINDS, WINDOW_S, Refusals

NOBODY = {"error": {"code": "Unauthorized", "message": "Show a token: `Authorization: Bearer …`."}}
NOT_YOURS = {
    "error": {
        "code": "Forbidden",
        "message": "You may not do this, or there is no such endpoint.",
    }
}
PROVIDER = rsa.generate_private_key(65537, 2048)
KEYS = json.dumps(
    {"keys": [{**json.loads(RSAAlgorithm.to_jwk(PROVIDER.public_key())), "kid": "p"}]}
)
LOGIN = {"issuer": "https://login.example.org/lab", "audience": "api://lab"}
FETCHED = {**LOGIN, "jwks_uri": "https://login.example.org/keys"}


class Asking:
    """A workspace in memory, and its service."""

    def __init__(self, *assignments, **more) -> None:
        self.target = MemoryTarget()
        up(self.target, *assignments, **more)
        self.desk = self.target.desk("lab")
        self.now_s = 1.0
        self.sources: tuple[str, ...] | None = ()
        self.log: list[str] = []
        log = Log(self.log.append, lambda: self.now_s)
        self.service = Service(
            self.desk,
            lambda _uri: KEYS,
            Refusals(self.note_refused, lambda: self.now_s, log),
            lambda: "http://127.0.0.1:18080",
            lambda: self.sources,
            clock=lambda: self.now_s,
            log=log,
        )
        self.app = application(self.service)

    def note_refused(self, what: str, why: str, who: str) -> None:
        self.desk.note_refused(what, why, who)

    def corrupt(self, section: str, name: str) -> None:
        self.target.memory.ports("lab").records.put(section, name, "half")

    def token(self, who=BEN, groups=()) -> str:
        return issued(self.target, who, groups).value.get_secret_value()

    def ask(self, method: str, path: str, token: str = "", client="127.0.0.1", **given):
        headers = list(given.pop("headers", ()))
        if token:
            headers.append(("authorization", f"Bearer {token}"))

        async def once() -> httpx.Response:
            way = httpx.ASGITransport(self.app, client=(client, 1))
            async with httpx.AsyncClient(transport=way, base_url="http://127.0.0.1:1") as asker:
                return await asker.request(method, path, headers=headers, **given)

        return asyncio.run(once())

    def get_token(self, token: str = "", endpoint: str = "iris", **given) -> httpx.Response:
        return self.ask("POST", f"/endpoints/{endpoint}/token", token, **given)


@pytest.fixture
def asking():
    return Asking(BEN_CALLS)


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
    assert answers[7].status_code == 404  # no such path at all
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


NOT_NOW = {
    "error": {
        "code": "ServiceUnavailable",
        "message": "The records of the workspace cannot be used now. Ask again later.",
    }
}


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


def test_who_is_refused_is_refused_where_that_cannot_be_written_down():
    class Unwritten(Asking):
        def note_refused(self, *_said: str) -> None:
            raise TargetError("write", "journal.jsonl", "Permission denied")

    asking = Unwritten(BEN_CALLS)
    assert asking.get_token("nonsense").json() == NOBODY
    assert asking.get_token(asking.token(Principal("user", "eve"))).json() == NOT_YOURS
    assert asking.log == ["write journal.jsonl: Permission denied"]


def test_nobody_gets_what_the_journal_has_no_room_to_tell():
    role = {"name": "ben-owns", "principal": "ben", "principal_type": "user", "role": "Owner"}
    asking = Asking(role)
    ben = asking.token()
    fill_journal(asking.target, "lab")
    asked = asking.get_token(ben), asking.ask("POST", "/endpoints/rose/listKeys", ben)
    assert [(one.status_code, one.json()) for one in asked] == [(503, NOT_NOW)] * 2
    assert asking.log == ["write the journal: no space left"]
    with pytest.raises(OutOfCapacity):
        asking.token()
    assert asking.get_token("nonsense").status_code == 401  # who is refused is refused
    fill_journal(asking.target, "lab", is_full=False)
    assert asking.get_token(ben).status_code == 200


def test_what_nobody_expected_is_told_by_its_place_and_not_by_its_text():
    written: list[str] = []
    try:
        raise ValueError("eyJ.token")
    except ValueError as fault:
        Log(written.append).fault(fault)
    (line,) = written
    assert line.startswith(f"ValueError, {__file__}:")
    assert "eyJ" not in line


# -- who is not believed ---------------------------------------------------------------------------


def forged(asking, key=None, header=(), **claims) -> str:
    """Return a token with a good one's claims but for some; signed by the workspace's own key."""
    records = asking.target.memory.ports("lab").records
    good = jwt.decode(asking.token(), options={"verify_signature": False})
    newer = json.loads(records.read("signing", "_workspace"))["newer"]
    held = {name: value for name, value in {**good, **claims}.items() if value is not None}
    named = {"kid": newer["id"], **dict(header)}
    return jwt.encode(
        held, newer["private"] if key is None else key, named.get("alg", "ES256"), headers=named
    )


def test_what_proves_nothing_gets_one_answer_without_a_reason(asking):
    now, good = int(time.time()), asking.token()
    of_endpoint = asking.target.token(
        ResourceId(kind=Kind.ENDPOINT, workspace="lab", name="iris"),
        HOUR,
        ANN,
    )
    bad = {
        "nothing": "",
        "expired": forged(asking, exp=now - 3600),
        "not yet valid": forged(asking, nbf=now + 600),
        "of the future": forged(asking, iat=now + 600),
        "no expiry": forged(asking, exp=None),
        "another issuer": forged(asking, iss="urn:inference:other"),
        "another audience": forged(asking, aud="urn:inference:lab:endpoints:iris"),
        "no signature": forged(asking, header={"alg": "none"}, key=""),
        "an unknown key": forged(asking, header={"kid": "of nobody"}),
        "a public key as a secret": _with_public_key_as_secret(asking),
        "nobody": forged(asking, principal_type="group of one"),
        "of an endpoint": of_endpoint.value.get_secret_value(),
        "cut": good[:-4],
        "two in one": f"{good} {good}",
        "over-long": good + "A" * 20_000,
        "a key": "k" * 43,
    }
    answers = {why: asking.get_token(text) for why, text in bad.items()}
    assert {why: one.status_code for why, one in answers.items()} == dict.fromkeys(bad, 401)
    assert {json.dumps(one.json()) for one in answers.values()} == {json.dumps(NOBODY)}
    assert {one.headers["www-authenticate"] for one in answers.values()} == {"Bearer"}
    assert asking.get_token(forged(asking)).status_code == 200


def _with_public_key_as_secret(asking) -> str:
    records = asking.target.memory.ports("lab").records
    asking.token()
    newer = json.loads(records.read("signing", "_workspace"))["newer"]
    body = asking.token().split(".")[1]
    head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": newer["id"]}).encode())
    signed = head.rstrip(b"=") + b"." + body.encode()
    made = hmac.new(json.dumps(newer["public"]).encode(), signed, hashlib.sha256).digest()
    return f"{signed.decode()}.{base64.urlsafe_b64encode(made).rstrip(b'=').decode()}"


@pytest.mark.parametrize(
    "shown",
    [
        ["Basic {}"],
        ["bearer {}"],
        ["Bearer  {}"],
        ["Bearer"],
        ["{}"],
        ["Bearer {}", "Bearer {}"],
        ["Bearer {}", "Bearer x"],
        ["Bearer {}, Bearer {}"],
    ],
)
def test_a_token_is_shown_once_and_in_one_way(asking, shown: Iterable[str]):
    token = asking.token()
    headers = [("authorization", one.replace("{}", token)) for one in shown]
    assert asking.get_token(headers=headers).status_code == 401
    assert asking.ask("POST", f"/endpoints/iris/token?token={token}").status_code == 401


def test_what_is_forged_at_random_never_passes(asking):
    head, body, signature = asking.token().split(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    for at in range(len(raw)):
        changed = bytes(b ^ (1 << at % 8) if i == at else b for i, b in enumerate(raw))
        text = base64.urlsafe_b64encode(changed).rstrip(b"=").decode()
        assert asking.get_token(f"{head}.{body}.{text}").status_code == 401


# -- tokens of an identity provider ----------------------------------------------------------------


def of_provider(key=PROVIDER, algorithm="RS256", **claims) -> str:
    now = int(time.time())
    good = {"iss": LOGIN["issuer"], "aud": "api://lab", "sub": "ben", "exp": now + 600}
    return jwt.encode({**good, **claims}, key, algorithm, headers={"kid": "p"})


def test_a_token_of_the_identity_provider_counts_by_the_roles_of_its_user_and_groups():
    group = {"name": "ops", "principal": "ops", "principal_type": "group", "role": "Caller"}
    asking = Asking({**BEN_CALLS, "principal": "o-1"}, group, identity_provider=FETCHED)
    assert asking.get_token(of_provider()).status_code == 403
    assert asking.get_token(of_provider(sub="o-1")).status_code == 200
    assert asking.get_token(of_provider(groups=["x", "ops"])).status_code == 200
    assert asking.get_token(of_provider(groups="ops")).status_code == 200
    assert asking.get_token(of_provider(groups={"ops": 1})).status_code == 403
    assert asking.get_token(of_provider(sub=7)).status_code == 401
    assert asking.get_token(of_provider(aud="api://other")).status_code == 401
    assert asking.get_token(of_provider(iss="https://login.example.org")).status_code == 401
    other = rsa.generate_private_key(65537, 2048)
    assert asking.get_token(of_provider(other)).status_code == 401


def test_a_provider_names_a_user_and_never_an_identity_of_the_workspace():
    robot = {"name": "robot-calls", "principal": "robot", "role": "Caller"}
    asking = Asking(robot, identity_provider=FETCHED)
    claims = {"sub": "robot", "principal_type": "identity"}
    assert asking.get_token(of_provider(**claims)).status_code == 403
    assert asking.get_token(asking.token(Principal("identity", "robot"))).status_code == 200


@pytest.mark.parametrize("name", ["identity:robot", "group:ops", "user:ben", "identity:"])
def test_a_user_whose_name_looks_like_another_principal_is_told_as_a_user(name):
    asking = Asking({**BEN_CALLS, "principal": name}, identity_provider=FETCHED)
    token = asking.get_token(of_provider(sub=name)).json()["accessToken"]
    assert jwt.decode(token, options={"verify_signature": False})["sub"] == f"user:{name}"
    assert journal(asking.target)[-1][:2] == (f"user:{name}", "issue token")


def test_a_name_is_told_whole_or_not_believed():
    asking = Asking({**BEN_CALLS, "principal": "b" * 200}, identity_provider=FETCHED)
    assert asking.get_token(of_provider(sub="b" * 200)).status_code == 200
    for name in ("b" * 201, "ben\nx", "ben\u202e"):
        assert asking.get_token(of_provider(sub=name)).status_code == 401


def test_a_provider_that_the_workspace_leaves_counts_no_more():
    asking = Asking(BEN_CALLS, identity_provider=FETCHED)
    assert asking.get_token(of_provider()).status_code == 200
    up(asking.target, BEN_CALLS)
    assert asking.get_token(of_provider()).status_code == 401


# -- how much, and from where ----------------------------------------------------------------------


def test_one_caller_that_asks_too_often_waits_and_no_other_does(asking):
    up(asking.target, {**BEN_CALLS, "name": "eve-calls", "principal": "eve"}, BEN_CALLS)
    ben, eve = asking.token(), asking.token(Principal("user", "eve"))
    codes = [asking.get_token(ben).status_code for _ in range(62)]
    assert (codes.count(200), codes[-1]) == (60, 429)
    answer = asking.get_token(asking.token())  # another token of the same caller
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert asking.get_token(eve).status_code == 200


def test_a_bucket_fills_evenly():
    rates = Rates(per_minute=2)
    times = (0, 0, 0, 29, 30, 30, 60, 10_000, 10_000, 10_000)
    assert [rates.wait_s("ben", at) for at in times] == [0, 0, 30, 1, 0, 30, 0, 0, 0, 30]


def test_who_is_not_in_a_range_is_refused_whatever_is_asked(asking):
    asking.sources = ("10.0.0.0/8", "2001:db8::/32")
    asked = [("GET", "/health"), ("POST", "/endpoints/iris/token"), ("GET", "/nothing")]
    ben = asking.token()
    assert {asking.ask(*one, ben).status_code for one in asked} == {403}
    for inside in ("10.1.2.3", "2001:db8::1", "::ffff:10.1.2.3"):
        assert asking.get_token(ben, client=inside).status_code == 200
    forwarded = [("x-forwarded-for", "10.1.2.3"), ("forwarded", "for=10.1.2.3")]
    assert asking.get_token(ben, headers=forwarded).status_code == 403


def test_while_nobody_knows_who_may_ask_nobody_may(asking):
    asking.sources = None
    assert asking.get_token(asking.token()).status_code == 503


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


# -- what is written down --------------------------------------------------------------------------


def test_refused_calls_are_written_down_once_and_then_counted(asking):
    eve = asking.token(Principal("user", "eve"))
    for _ in range(5):
        asking.get_token(eve)
        asking.get_token("nonsense")
    asking.now_s += WINDOW_S
    asking.service.refusals.flush()
    refused = [one for one in journal(asking.target) if "refused" in one[1]]
    missing = (
        "no role assignment of user 'eve' allows Microsoft.MachineLearningServices/workspaces"
        "/onlineEndpoints/token/action on endpoints/iris"
    )
    allowed = "(403, not allowed) by the service of"
    valid = "(401, no valid token) by the service of"
    assert refused == [
        ("eve", f"1 call refused {allowed}", "lab", missing),
        ("127.0.0.1", f"1 call refused {valid}", "lab", "not a token"),
        ("eve", f"4 calls refused {allowed}", "lab", missing),
        ("127.0.0.1", f"4 calls refused {valid}", "lab", "not a token"),
    ]


def test_a_flood_of_refused_calls_fills_no_journal():
    told: list[tuple[str, str, str]] = []
    times = [1.0]
    refusals = Refusals(lambda *said: told.append(said), lambda: times[-1])
    for number in range(1000):
        refusals.add(403, f"user-{number}", "none")
    times.append(599.0)
    refusals.flush()
    assert len(told) == MOST_KINDS + 1
    times.append(601.0)
    refusals.flush()
    assert told[-1] == ("989 calls refused (403, not allowed) by the service of", "", "others")


def test_no_token_is_written_down(asking):
    good, bad = asking.token(), "eyJhbGciOiJub25lIn0.e30.c2VjcmV0"
    given = asking.get_token(good).json()["accessToken"]
    asking.get_token(bad)
    said = "".join(one.model_dump_json() for one in asking.target.journal("lab"))
    assert [text for text in (good, bad, given) if text in said] == []
