"""Who is let in, as a router that is no Envoy decides it."""

from typing import Any

import jwt

from inference_provider.router.table import EndpointEntry, ProviderCheck, Scorers, TokenCheck


def refused(endpoint: EndpointEntry, text: str) -> int:
    """Return the status with which an endpoint refuses a key or token; 0 where it takes it."""
    if endpoint.provider:
        return _refused_by_role(endpoint.provider, endpoint.scorers, text)
    if endpoint.tokens:
        return _refused_token(endpoint.tokens, text)
    return 0 if text in [one.get_secret_value() for one in endpoint.keys] else 401


def _refused_token(check: TokenCheck, text: str) -> int:
    try:
        told = jwt.decode(text, options={"verify_signature": False})
        if told.get("iss") == check.issuer and told.get("aud") != check.audience:
            return 403
        _claims(text, check.jwks, check.issuer, (check.audience,))
    except (jwt.PyJWTError, KeyError):
        return 401
    return 0


def _refused_by_role(check: ProviderCheck, scorers: Scorers, text: str) -> int:
    try:
        claims = _claims(text, check.jwks, check.issuer, check.audiences)
    except jwt.InvalidAudienceError:
        return 403
    except (jwt.PyJWTError, KeyError):
        return 401
    groups = claims.get(check.groups_claim, [])
    of_one = set(groups) & set(scorers.groups)
    return 0 if of_one or claims.get(check.principal_claim) in scorers.principals else 403


def _claims(text: str, jwks: str, issuer: str, audiences: tuple[str, ...]) -> dict[str, Any]:
    keys = {one.key_id: one for one in jwt.PyJWKSet.from_json(jwks).keys}
    found: dict[str, Any] = jwt.decode(
        text,
        keys[jwt.get_unverified_header(text)["kid"]],
        ["ES256"],
        options={"require": ["exp", "iss", "aud"]},
        issuer=issuer,
        audience=audiences,
    )
    return found
