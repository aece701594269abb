"""Which tokens are believed: signed by a key that counts, for us, and for now."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from inference_provider.workspace.bearer import (
    LONGEST_BYTES,
    Takes,
    Unproven,
    claims_of,
    issuer_of,
)

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
NOW_S = int(NOW.timestamp())
KEY = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)
GOOD = {"iss": "urn:a", "aud": "urn:a:service", "sub": "ann", "iat": NOW_S, "exp": NOW_S + 60}


def jwk(key=KEY, kid="one", **more):
    of_ec, of_rsa = ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey
    kinds: dict[type, Any] = {of_ec: ECAlgorithm, of_rsa: RSAAlgorithm}
    algorithm = next((a for k, a in kinds.items() if isinstance(key, k)), OKPAlgorithm)
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid, **more}


def takes(*keys, audiences=("urn:a:service",)):
    return Takes("urn:a", audiences, json.dumps({"keys": list(keys or [jwk()])}))


def token(claims=(), key=KEY, algorithm="ES256", kid="one", **header):
    held = {name: value for name, value in {**GOOD, **dict(claims)}.items() if value is not None}
    named = {"kid": kid, **header} if kid else header
    return jwt.encode(held, key, algorithm, headers=named)


def why(text, known=None):
    with pytest.raises(Unproven) as caught:
        claims_of(text, known or takes(), NOW)
    return str(caught.value)


def test_a_good_token_is_believed_and_says_who_made_it():
    assert claims_of(token(), takes(), NOW) == GOOD
    assert issuer_of(token()) == "urn:a"


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({"exp": None}, "it has expired"),
        ({"exp": NOW_S - 6}, "it has expired"),
        ({"nbf": NOW_S + 6}, "it is not valid yet"),
        ({"iat": NOW_S + 600}, "it is not valid yet"),
        ({"exp": True}, "its exp is no time"),
        ({"exp": 1e300}, "its exp is no time"),
        ({"exp": "soon"}, "its exp is no time"),
        ({"exp": float("nan")}, "its exp is no time"),
        ({"nbf": []}, "its nbf is no time"),
        ({"iss": "urn:b"}, "of another issuer"),
        ({"iss": None}, "of another issuer"),
        ({"aud": "urn:a:endpoints:iris"}, "for another audience"),
        ({"aud": ["urn:b", "urn:a:endpoints:iris"]}, "for another audience"),
        ({"aud": None}, "for another audience"),
        ({"aud": {"urn:a:service": 1}}, "for another audience"),
    ],
)
def test_a_token_for_others_or_for_another_time_is_not(claims, told):
    assert why(_signed_by_hand(claims)) == told


def _signed_by_hand(claims):
    """As `token`; the library refuses to write some of these claims itself."""
    held = {name: value for name, value in {**GOOD, **claims}.items() if value is not None}
    return jwt.api_jws.encode(json.dumps(held).encode(), KEY, "ES256", headers={"kid": "one"})


def test_clocks_may_differ_by_five_seconds():
    assert claims_of(token({"exp": NOW_S - 4, "nbf": NOW_S + 4}), takes(), NOW)["sub"] == "ann"


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
def test_a_time_that_is_null_is_no_time(name):
    text = jwt.encode({**GOOD, name: None}, KEY, "ES256", headers={"kid": "one"})
    assert why(text) == f"its {name} is no time"


def test_who_cannot_sign_is_not_believed():
    public = KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    other = ec.generate_private_key(ec.SECP256R1())
    head, body, signature = token().split(".")
    forged = {
        "none": token(key=None, algorithm="none"),
        "None": f"{_part({'alg': 'None', 'kid': 'one'})}.{body}.",
        "a public key as a secret": _hmac(public, body),
        "the JWK as a secret": _hmac(json.dumps(jwk()).encode(), body),
        "an empty secret": _hmac(b"", body),
        "another key": token(key=other),
        "another key's id": token(kid="two"),
        "other claims": f"{head}.{_part({**GOOD, 'sub': 'eve'})}.{signature}",
        "a key that it brings": token(key=other, jwk=jwk(other)),
        "what must be understood": token(crit=["b64"], b64=True),
        "cut": token()[:-4],
        "nothing": "",
        "dots": "..",
        "no JSON": "a.b.c",
        "deep": f"{_part({})[:-2]}.{'e30' * 10}.x",
    }
    assert set(map(why, forged.values())) <= {
        "no key that counts has signed it",
        "not a token",
        "asks for what is not known here",
    }


def _part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _hmac(secret, body):
    signed = f"{_part({'alg': 'HS256', 'kid': 'one'})}.{body}"
    made = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(made).rstrip(b'=').decode()}"


def test_a_shared_secret_in_a_set_of_keys_counts_for_nothing():
    known = takes({"kty": "oct", "k": "c3Nz" * 10 + "c3M", "kid": "one", "alg": "HS256"})
    assert why(token(key="s" * 32, algorithm="HS256"), known) == "no key that counts has signed it"


@pytest.mark.parametrize(
    ("key", "algorithm", "more"),
    [
        (RSA, "RS256", {}),
        (RSA, "PS384", {}),
        (RSA, "RS256", {"alg": "RS256"}),
        (ed25519.Ed25519PrivateKey.generate(), "EdDSA", {}),
        (ec.generate_private_key(ec.SECP384R1()), "ES384", {}),
    ],
)
def test_keys_of_providers_are_of_several_kinds(key, algorithm, more):
    known = takes(jwk(), jwk(key, "two", **more))
    assert claims_of(token(key=key, algorithm=algorithm, kid="two"), known, NOW)["sub"] == "ann"
    assert claims_of(token(key=key, algorithm=algorithm, kid=None), known, NOW)["sub"] == "ann"


def test_a_key_signs_only_as_its_set_says():
    known = takes(jwk(RSA, alg="RS512"))
    assert why(token(key=RSA, algorithm="RS256"), known) == "no key that counts has signed it"
    assert why(token(), takes(jwk(use="enc"))) == "no key that counts has signed it"


@pytest.mark.parametrize("jwks", ["", "{}", "[]", '{"keys": 1}', '{"keys": [1, {}, {"kty": 1}]}'])
def test_where_no_keys_are_known_nobody_is_believed(jwks):
    assert why(token(), Takes("urn:a", ("urn:a:service",), jwks)) == (
        "no key that counts has signed it"
    )


def test_audiences_are_compared_as_the_router_does():
    known = takes(audiences=("https://chat/",))
    assert [claims_of(token({"aud": one}), known, NOW)["sub"] for one in ("chat", "http://chat")]
    assert why(token({"aud": "https://chat/x"}), known) == "for another audience"


@pytest.mark.parametrize("text", ["", "a", "a.b.c", "..", "x" * (LONGEST_BYTES + 1), "\u00e9.e.e"])
def test_of_what_is_no_token_nobody_says_who_made_it(text):
    with pytest.raises(Unproven):
        issuer_of(text)


@pytest.mark.parametrize(
    "said",
    [
        b'{"sub": "ann", %s, "sub": "eve"}',
        b'{"sub": "ann", %s, "exp": 99999999999}',
        b'\xef\xbb\xbf{"sub": "ann", %s}',
        b"[{%s}]",
    ],
)
def test_claims_that_readers_may_read_otherwise_are_none(said):
    rest = json.dumps({**GOOD, "sub": 1}).encode()[1:-1].replace(b', "sub": 1', b"")
    whole = jwt.PyJWS().encode(said % rest, KEY, "ES256", headers={"kid": "one"})
    assert why(whole) == "says no claims, or one of them twice"


def test_a_head_that_says_something_twice_is_none():
    _, body, _ = token().split(".")
    twice = base64.urlsafe_b64encode(b'{"alg":"none","alg":"ES256"}').rstrip(b"=").decode()
    assert why(f"{twice}.{body}.x") == "not a token"


def test_text_of_another_encoding_is_no_claims():
    text = json.dumps(GOOD).encode("utf-16")
    whole = jwt.PyJWS().encode(text, KEY, "ES256", headers={"kid": "one"})
    assert why(whole) == "says no claims, or one of them twice"
