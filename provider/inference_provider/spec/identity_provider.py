"""IdentityProvider: whose tokens the endpoints of a workspace take, and what is read from them."""

import ipaddress
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from inference_provider.spec.base import COMPUTED, LOCAL_PATH, NO_SECRET, SpecModel

NAME_A_PROVIDER = "name one there, or use aml_token or key"
"""What to do where an endpoint takes tokens of a provider and its workspace names none."""
_NOT_A_URL = "expected a URL like 'https://login.example.org/keys', without user and fragment"


def _split(text: str) -> SplitResult:
    """Split a URL of a server. Raises ValueError for any other text."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(_NOT_A_URL) from None
    printable = text.isascii() and text.isprintable() and " " not in text
    named = parts.scheme in ("http", "https") and parts.hostname and port != 0
    if not (printable and named) or "@" in parts.netloc or "#" in text:
        raise ValueError(_NOT_A_URL)
    return parts


def _a_url(text: str) -> str:
    _split(text)
    return text


def _one_or_more(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def is_this_machine(host: str) -> bool:
    """Whether the host of a URL is this machine's loopback."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_safe(url: str) -> bool:
    """Whether nobody on the way can read or change what a URL leads to."""
    parts = _split(url)
    return parts.scheme == "https" or is_this_machine(parts.hostname or "")


Url = Annotated[str, Field(max_length=2048), AfterValidator(_a_url)]
Audience = Annotated[str, Field(pattern=r"^[!-~]{1,512}$")]


class IdentityProvider(SpecModel):
    """Whose tokens endpoints of auth_mode `aad_token` take: those of an OpenID Connect provider."""

    issuer: Annotated[Url, NO_SECRET]
    """The `iss` of its tokens, letter for letter: `https://login.example.org/lab`."""
    audience: Annotated[
        tuple[Audience, ...], BeforeValidator(_one_or_more), Field(min_length=1, max_length=100)
    ]
    """The `aud` that tokens are for: one, or a list of which a token names one."""
    jwks_file: Annotated[str | None, LOCAL_PATH] = None
    """File with the public keys that sign its tokens, a JSON Web Key Set; read again by each
    apply."""
    jwks: Annotated[dict[str, str], COMPUTED] = {}
    """The public keys in that file, each as JSON, by its `kid`; never written by hand."""
    jwks_uri: Annotated[Url | None, NO_SECRET] = None
    """URL of the public keys instead, as its `/.well-known/openid-configuration` says: the router
    fetches them from there."""
    jwks_refresh_s: Annotated[int, Field(ge=1, le=86400)] = 60
    """Seconds after which the router fetches them again."""
    allow_http: bool = False
    """Whether `jwks_uri` may be http:// on another machine; who can change what is fetched then can
    let anybody in."""
    principal_claim: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,128}$")] = "sub"
    """The claim that is the `principal` of role assignments: `sub`, or `oid` of Azure's tokens."""
    groups_claim: Annotated[str, Field(pattern=r"^[!-~]{1,256}$")] = "groups"
    """The claim that lists a caller's groups; of the token itself, not of an object in it."""

    @model_validator(mode="after")
    def _keys_come_from_one_place(self) -> "IdentityProvider":
        given = self.jwks_file is not None or bool(self.jwks)
        if given == (self.jwks_uri is not None):
            both = "both say" if given else "one must say"
            remedy = "leave one of them out" if given else "write one of them"
            raise ValueError(f"jwks_file or jwks_uri: {both} where its keys are; {remedy}")
        return self

    @model_validator(mode="after")
    def _keys_are_fetched_safely(self) -> "IdentityProvider":
        if self.jwks_uri and not self.allow_http and not is_safe(self.jwks_uri):
            raise ValueError(
                "jwks_uri is http://, so anybody on the way could replace the keys; use https://,"
                " or set allow_http: true"
            )
        return self
