"""A token that somebody shows, and public keys -> what it says, if it can be believed. Pure.

What a router asks of a token is asked here too: a signature by one of the keys, of a kind that only
its owner can make, the issuer, the audience, and the time.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import jwt
from jwt.utils import base64url_decode

from inference_provider.router.tokens import CLOCK_SKEW_S

LONGEST_BYTES = 16384
"""Of a token; one of a provider that names many groups is long."""
_BY_TYPE: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("RSA", ""): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
}
"""What a key signs with, by its type and curve; never a secret that whoever checks has too."""
_JWS = jwt.PyJWS()
_NO_TIME_S = 1e11
"""Seconds from 1970 that are no date any more."""
_BEGINNINGS = ("https://", "http://")


class Unproven(Exception):
    """A token that proves nothing; the text says why, to the owner and to no caller."""


class Takes(NamedTuple):
    """Which tokens count."""

    issuer: str
    audiences: tuple[str, ...]
    jwks: str
    """Public keys: a JSON Web Key Set, RFC 7517."""


class _Key(NamedTuple):
    id: str
    algorithms: tuple[str, ...]
    public: Any


def issuer_of(token: str) -> str:
    """Return who a token says has made it, unchecked. Raises Unproven."""
    if len(token) > LONGEST_BYTES:
        raise Unproven("longer than a token can be")
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise Unproven("not a token") from None
    return _text(claims, "iss")


def claims_of(token: str, takes: Takes, now: datetime) -> Mapping[str, Any]:
    """Return what a token says.

    Args:
        token: At most LONGEST_BYTES.
        takes: Which tokens count.
        now: With its zone.

    Raises:
        Unproven: It is not one of these, or does not count now.
    """
    claims = _signed(token, takes.jwks)
    if _text(claims, "iss") != takes.issuer:
        raise Unproven("of another issuer")
    said = claims.get("aud")
    audiences = said if isinstance(said, list) else [said]
    wanted = {_bare(one) for one in takes.audiences}
    if not any(isinstance(one, str) and _bare(one) in wanted for one in audiences):
        raise Unproven("for another audience")
    _refuse_other_times(claims, now.timestamp())
    return claims


def _signed(token: str, jwks: str) -> Mapping[str, Any]:
    """Return what a token says that one of the keys has signed; its times are not looked at."""
    try:
        header = _once(base64url_decode(token.partition(".")[0]))
    except (ValueError, RecursionError):
        raise Unproven("not a token") from None
    algorithm, name = header.get("alg"), header.get("kid")
    if "crit" in header:
        raise Unproven("asks for what is not known here")
    for key in _keys(jwks):
        if algorithm in key.algorithms and name in (None, key.id):
            try:
                said = _JWS.decode(token, key.public, [str(algorithm)])
            except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
                continue
            return _claims(said)
    raise Unproven("no key that counts has signed it")


def _claims(said: bytes) -> Mapping[str, Any]:
    try:
        return _once(said)
    except (ValueError, RecursionError):
        raise Unproven("says no claims, or one of them twice") from None


def _once(text: bytes) -> Mapping[str, Any]:
    """Return an object of JSON as a router reads it too. Raises ValueError."""
    found = json.loads(text.decode(), object_pairs_hook=_members)
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name twice, of which readers choose one or the other")
    return found


def _refuse_other_times(claims: Mapping[str, Any], now_s: float) -> None:
    for name in ("exp", "nbf", "iat"):
        at_s = claims.get(name, 0)  # of null a router says the same
        if isinstance(at_s, bool) or not isinstance(at_s, int | float):
            raise Unproven(f"its {name} is no time")
        if not abs(at_s) < _NO_TIME_S:
            raise Unproven(f"its {name} is no time")
    if not claims.get("exp", 0) > now_s - CLOCK_SKEW_S:
        raise Unproven("it has expired")
    if any(not claims.get(name, 0) <= now_s + CLOCK_SKEW_S for name in ("nbf", "iat")):
        raise Unproven("it is not valid yet")


@lru_cache(maxsize=16)
def _keys(jwks: str) -> tuple[_Key, ...]:
    """Return the keys of a set that can be used; each set is read once."""
    return tuple(_usable(jwks))


def _usable(jwks: str) -> Iterator[_Key]:
    try:
        found = json.loads(jwks)["keys"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return
    for one in found if isinstance(found, list) else ():
        if not isinstance(one, dict) or one.get("use", "sig") != "sig":
            continue
        kind = str(one.get("kty")), "" if one.get("kty") == "RSA" else str(one.get("crv"))
        known = _BY_TYPE.get(kind, ())
        algorithms = tuple(name for name in known if one.get("alg", name) == name)
        if algorithms:
            try:
                public = jwt.PyJWK(one, algorithms[0]).key
            except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
                continue
            yield _Key(str(one.get("kid")), algorithms, public)


def _bare(audience: str) -> str:
    """Return an audience as the router compares it."""
    for beginning in _BEGINNINGS:
        if audience.startswith(beginning):
            return audience.removeprefix(beginning).removesuffix("/")
    return audience.removesuffix("/")


def _text(claims: Mapping[str, Any], name: str) -> str:
    found = claims.get(name)
    return found if isinstance(found, str) else ""
