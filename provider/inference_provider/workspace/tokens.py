"""Tokens of an endpoint: made with its signing key, and checked by its router alone."""

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from pydantic import SecretStr

from inference_provider.observed import Frozen
from inference_provider.router.table import TokenCheck
from inference_provider.workspace.signing import SigningKey, SigningKeys

DEFAULT_LIFETIME = timedelta(minutes=30)
SHORTEST_LIFETIME, LONGEST_LIFETIME = timedelta(minutes=1), timedelta(hours=24)
_ALGORITHM = "ES256"
_NOTHING: Mapping[str, Any] = {}
_REFRESH_AFTER = 2 / 3
"""Part of a lifetime after which a client should ask for the next token."""


class IssuedToken(Frozen):
    """A token for one caller of one endpoint."""

    value: SecretStr
    id: str
    """The `jti` in it, by which one token can be revoked."""
    expires: datetime
    refresh_after: datetime
    """When to ask for the next one."""

    @property
    def answer(self) -> dict[str, str | int]:
        """The token in clear text, in the shape and by the names of Azure ML's answer."""
        return {
            "accessToken": self.value.get_secret_value(),
            "expiryTimeUtc": int(self.expires.timestamp()),
            "refreshAfterTimeUtc": int(self.refresh_after.timestamp()),
            "tokenType": "Bearer",
        }


def new_signing_key() -> SigningKey:
    """Return a new pair of keys."""
    private, name = ec.generate_private_key(ec.SECP256R1()), uuid.uuid4().hex[:16]
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = _public(private, name)
    return SigningKey(id=name, private=SecretStr(pem.decode()), public=public)


def is_pair(key: SigningKey) -> bool:
    """Whether a router takes what a key signs; a document that was edited may say otherwise."""
    try:
        pem = key.private.get_secret_value().encode()
        private = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        return False
    return key.public == _public(private, key.id)


def _public(private: ec.EllipticCurvePrivateKey, name: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(ECAlgorithm.to_jwk(private.public_key()))
    return {**found, "kid": name, "alg": _ALGORITHM, "use": "sig"}


def issue(
    check: TokenCheck,
    keys: SigningKeys,
    caller: str,
    now: datetime,
    lifetime: timedelta,
    *,
    more: Mapping[str, Any] = _NOTHING,
) -> IssuedToken:
    """Return a token that the endpoint's router takes, or the workspace service.

    Args:
        check: What the router asks of it.
        keys: The endpoint's.
        caller: Whom it speaks for: the `sub`, which the router logs and hands to the model.
        now: With its zone.
        lifetime: From SHORTEST_LIFETIME to LONGEST_LIFETIME; the caller has checked that.
        more: Further claims.
    """
    now = now.astimezone(UTC).replace(microsecond=0)
    expires = now + lifetime
    name = uuid.uuid4().hex
    claims = {
        **more,
        "iss": check.issuer,
        "aud": check.audience,
        "sub": caller,
        "iat": now,
        "exp": expires,
        "jti": name,
    }
    key = keys.newer
    text = jwt.encode(
        claims, key.private.get_secret_value(), algorithm=_ALGORITHM, headers={"kid": key.id}
    )
    refresh_after = now + lifetime * _REFRESH_AFTER
    return IssuedToken(value=SecretStr(text), id=name, expires=expires, refresh_after=refresh_after)
