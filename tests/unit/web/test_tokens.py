"""Whose token the workspace service believes: its own, and an identity provider's."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterable

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.memory import ANN
from tests.unit.test_desk import BEN_CALLS, HOUR, journal, up
from tests.unit.web.asking import FETCHED, LOGIN, NOBODY, PROVIDER, Asking

from inference_provider.access import Principal
from inference_provider.observed import Kind, ResourceId


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


def test_a_signature_of_which_any_byte_differs_never_passes(asking):
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
