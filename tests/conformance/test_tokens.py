"""Tokens of an endpoint: its router alone decides which are good."""

import base64
import hashlib
import hmac
import json
import time
from datetime import timedelta

import jwt
import pytest

from inference_provider.errors import SpecError, TargetError
from inference_provider.observed import Kind
from inference_provider.plan import plan
from inference_provider.workspace.tokens import new_signing_key
from tests.conformance.labs import ANN, BOB

SIGNING = "signing"
HALF_AN_HOUR = timedelta(minutes=30)


@pytest.fixture
def tokens(served):
    """A lab whose endpoint iris takes tokens."""
    served.apply(served.endpoint("iris", auth_mode="aml_token"))
    return served


def token(lab, lifetime=HALF_AN_HOUR, endpoint="iris"):
    issued = lab.target.token(lab.id(Kind.ENDPOINT, endpoint), lifetime, ANN)
    return issued.value.get_secret_value()


def forged(lab, *, header=(), key=None, **claims):
    """Return a token with a good one's claims but for some; signed by the endpoint's own key."""
    newer = json.loads(lab.ports.records.read(SIGNING, "iris"))["newer"]
    good = jwt.decode(token(lab), options={"verify_signature": False})
    held = {name: value for name, value in {**good, **claims}.items() if value is not None}
    named = {"kid": newer["id"], **dict(header)}
    algorithm = named.get("alg", "ES256")
    return jwt.encode(held, newer["private"] if key is None else key, algorithm, headers=named)


def test_a_token_lets_its_caller_in_and_keys_let_in_nobody_any_more(served):
    keys = served.keys()
    served.apply(served.endpoint("iris", auth_mode="aml_token"))
    assert [served.ask(key=key) for key in (token(served), *keys, "wrong")] == [
        *(200, 401, 401, 401)
    ]
    endpoint = served.target.observe_one(served.id(Kind.ENDPOINT, "iris"))
    assert (endpoint.secret_outputs, endpoint.degraded) == ({}, "")
    served.apply(served.endpoint("iris", auth_mode="key"))
    assert served.ask() == 200
    assert set(served.keys()) & set(keys) == set()
    assert served.documents().get(SIGNING, {}) == {}


def test_only_what_the_endpoint_signed_for_itself_and_for_now_is_taken(tokens):
    now = int(time.time())
    bad = {
        "expired": forged(tokens, exp=now - 60),
        "not yet valid": forged(tokens, nbf=now + 600),
        "no expiry": forged(tokens, exp=None),
        "another issuer": forged(tokens, iss="urn:inference:other"),
        "no issuer": forged(tokens, iss=None),
        "no signature": forged(tokens, header={"alg": "none"}, key=""),
        "an unknown key": forged(tokens, header={"kid": "of nobody"}),
        "a public key as a secret": with_public_key_as_secret(tokens),
        "cut": token(tokens)[:-4],
        "other claims": changed(token(tokens)),
        "over-long": token(tokens) + "A" * 4000,
    }
    assert {why: tokens.ask(key=text) for why, text in bad.items()} == dict.fromkeys(bad, 401)
    other = forged(tokens, aud="urn:inference:lab:endpoints:rose")
    assert [tokens.ask(key=text) for text in (other, forged(tokens, aud=None))] == [403, 403]
    assert tokens.ask(key=forged(tokens)) == 200


def with_public_key_as_secret(lab):
    """Return a token signed with what everybody may know, as if that were a shared secret."""
    newer = json.loads(lab.ports.records.read(SIGNING, "iris"))["newer"]
    good = jwt.decode(token(lab), options={"verify_signature": False})
    head = {"alg": "HS256", "kid": newer["id"], "typ": "JWT"}
    signed = f"{encoded(head)}.{encoded(good)}"
    secret = json.dumps(newer["public"]).encode()
    signature = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def encoded(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def changed(text):
    """Return a token for somebody else, with the signature of the one before."""
    head, body, signature = text.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    return f"{head}.{encoded({**claims, 'sub': 'eve'})}.{signature}"


def test_a_token_of_another_endpoint_is_refused(tokens):
    tokens.apply(tokens.endpoint("rose", auth_mode="aml_token"))
    assert tokens.ask(key=token(tokens, endpoint="rose")) == 403
    assert tokens.ask(key=token(tokens)) == 200


def test_tokens_outlive_one_rotation_of_the_signing_key_and_not_two(tokens):
    endpoint, first = tokens.id(Kind.ENDPOINT, "iris"), token(tokens)
    tokens.target.rotate_key(endpoint, "signing", BOB)
    second = token(tokens)
    assert [tokens.ask(key=text) for text in (first, second)] == [200, 200]
    tokens.target.rotate_key(endpoint, "signing", BOB)
    assert [tokens.ask(key=text) for text in (first, second)] == [401, 200]


def test_another_count_of_rotations_makes_another_signing_key_once(tokens):
    first = token(tokens)
    for description in ("", "of flowers"):
        fields = {"key_rotations": {"signing": 1}, "description": description}
        tokens.apply(tokens.endpoint("iris", auth_mode="aml_token", **fields))
    second = token(tokens)
    assert [tokens.ask(key=text) for text in (first, second)] == [200, 200]
    fields = {"key_rotations": {"signing": 2}}
    tokens.apply(tokens.endpoint("iris", auth_mode="aml_token", **fields))
    assert [tokens.ask(key=text) for text in (first, second, token(tokens))] == [401, 200, 200]
    tokens.apply(tokens.endpoint("iris", auth_mode="aml_token"))  # a count left out makes none
    assert tokens.ask(key=second) == 200


def test_an_endpoint_that_is_made_again_takes_no_token_of_before(tokens):
    before = token(tokens)
    for wanted in reversed(tokens.desired[3:]):
        tokens.delete(wanted.id)
    assert tokens.documents().get(SIGNING, {}) == {}
    tokens.apply(tokens.endpoint("iris", auth_mode="aml_token"))
    for wanted in tokens.desired[4:]:
        tokens.apply(wanted)
    assert [tokens.ask(key=text) for text in (before, token(tokens))] == [401, 200]


def test_a_token_says_who_asked_for_it_and_for_how_long(tokens):
    issued = tokens.target.token(tokens.id(Kind.ENDPOINT, "iris"), timedelta(minutes=90), ANN)
    claims = jwt.decode(issued.value.get_secret_value(), options={"verify_signature": False})
    assert claims["sub"] == "ann"
    assert claims["exp"] - claims["iat"] == 5400
    assert claims["exp"] == issued.expires.timestamp()
    assert (issued.refresh_after.timestamp() - claims["iat"]) == 3600


@pytest.mark.parametrize("minutes", [0.5, 1441])
def test_a_token_of_less_than_a_minute_or_more_than_a_day_is_refused(tokens, minutes):
    with pytest.raises(SpecError, match=f"lifetime: {minutes:g} minutes; expected 1 to 1440"):
        token(tokens, timedelta(minutes=minutes))


def test_keys_of_the_other_kind_are_refused_with_what_helps(tokens):
    endpoint = tokens.id(Kind.ENDPOINT, "iris")
    turn = "rotate its signing key: `inferctl keys rotate iris --key signing`$"
    with pytest.raises(TargetError, match=f"it takes tokens, not keys; {turn}"):
        tokens.target.rotate_key(endpoint, "primary", ANN)
    tokens.apply(tokens.endpoint("iris", auth_mode="key"))
    with pytest.raises(TargetError, match=r"of its own; see its keys: `inferctl keys show iris`$"):
        token(tokens)
    with pytest.raises(TargetError, match="its auth_mode is key; only an endpoint of aml_token"):
        tokens.target.rotate_key(endpoint, "signing", ANN)
    with pytest.raises(TargetError, match="it is not there; declare it"):
        token(tokens, endpoint="gone")


def assert_told_as_lost(lab):
    there = lab.target.observe([lab.workspace])
    assert {one.id.kind: one.degraded for one in there.resources.values() if one.degraded} == {
        Kind.ENDPOINT: "its keys are gone"
    }
    with pytest.raises(TargetError, match="its keys are gone; apply the stack again, which makes"):
        token(lab)


@pytest.mark.parametrize("text", [None, '{"newer": {"id": "a"', "{}"])
def test_lost_signing_keys_are_told_let_in_nobody_else_and_are_made_again(tokens, text):
    before = token(tokens)
    if text is None:
        tokens.ports.records.drop(SIGNING, "iris")
    else:
        tokens.ports.records.put(SIGNING, "iris", text)
    assert_told_as_lost(tokens)
    tokens.apply(tokens.deployment(environment_variables={"A": "2"}))
    assert tokens.ask(key=changed(before)) == 401
    wanted = tokens.endpoint("iris", auth_mode="aml_token")
    planned = plan([wanted], tokens.target.observe([tokens.workspace]), "demo")
    assert [f"{one.kind.value} {one.id.kind}" for one in planned.pending][:1] == ["update Endpoint"]
    tokens.apply(wanted)
    assert [tokens.ask(key=one) for one in (token(tokens), before)] == [200, 401]


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param({"private": "nonsense"}, id="no private key"),
        pytest.param({"private": new_signing_key().private.get_secret_value()}, id="of another"),
        pytest.param({"public": {}}, id="no public key"),
        pytest.param({"public": {"kty": "EC", "crv": "P-256", "x": "", "y": ""}}, id="no point"),
        pytest.param({"id": "of nobody"}, id="another id"),
    ],
)
def test_an_edited_signing_key_is_lost_and_stops_no_other_change(tokens, edit):
    held = json.loads(tokens.ports.records.read(SIGNING, "iris"))
    edited = json.dumps({"newer": {**held["newer"], **edit}})
    tokens.ports.records.put(SIGNING, "iris", edited)
    assert_told_as_lost(tokens)
    tokens.apply(tokens.endpoint("rose"))
    tokens.apply(tokens.endpoint("iris", auth_mode="aml_token"))
    assert tokens.ask(key=token(tokens)) == 200


def test_the_journal_says_who_got_a_token_and_who_rotated_and_holds_none(tokens):
    issued = token(tokens)
    tokens.target.rotate_key(tokens.id(Kind.ENDPOINT, "iris"), "signing", BOB)
    told = tokens.target.observe([tokens.workspace]).journal[-2:]
    assert [(one.actor.user, one.action, one.id.name) for one in told] == [
        ("ann", "issue token", "iris"),
        ("bob", "rotate signing key", "iris"),
    ]
    assert issued not in repr(told)


def test_no_private_key_is_in_what_is_observed_or_published(tokens):
    private = json.loads(tokens.ports.records.read(SIGNING, "iris"))["newer"]["private"]
    secret = private.splitlines()[1]
    assert secret not in repr(tokens.target.observe([tokens.workspace]))
    assert "PRIVATE" not in repr(tokens.target._workspace(tokens.workspace).convergence)
