"""Who is let in, as a router that is no Envoy decides it."""

import jwt

from inference_provider.router.table import EndpointEntry, TokenCheck


def refused(endpoint: EndpointEntry, text: str) -> int:
    """Return the status with which an endpoint refuses a key or token; 0 where it takes it."""
    if endpoint.tokens:
        return _refused_token(endpoint.tokens, text)
    return 0 if text in [one.get_secret_value() for one in endpoint.keys] else 401


def _refused_token(check: TokenCheck, text: str) -> int:
    try:
        told = jwt.decode(text, options={"verify_signature": False})
        if told.get("iss") == check.issuer and told.get("aud") != check.audience:
            return 403
        keys = {one.key_id: one for one in jwt.PyJWKSet.from_json(check.jwks).keys}
        key = keys[jwt.get_unverified_header(text)["kid"]]
        jwt.decode(
            text,
            key,
            ["ES256"],
            options={"require": ["exp", "iss"]},
            issuer=check.issuer,
            audience=check.audience,
        )
    except (jwt.PyJWTError, KeyError):
        return 401
    return 0
