"""CORS: which pages of other sites may call an endpoint from a browser."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from inference_provider.spec.base import SpecModel

_HOST = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_ORIGIN = re.compile(rf"\*|https?://(\*\.)?{_HOST}(\.{_HOST})*(:(?P<port>[1-9][0-9]{{0,4}}))?")
_LEFT_OUT = {"http": "80", "https": "443"}
"""Ports that no browser names in an origin."""


def _as_a_browser_sends_it(text: str) -> str:
    found = _ORIGIN.fullmatch(text)
    if not found or int(found["port"] or 1) > 65535:
        raise ValueError(
            "expected scheme and host in small letters and no path: https://app.example.org,"
            " https://*.example.org, http://localhost:3000, or * for every page"
        )
    scheme = text.partition(":")[0]
    if found["port"] == _LEFT_OUT.get(scheme, "none"):
        raise ValueError(f"no browser sends the port :{found['port']} of {scheme}; leave it out")
    return text


def _names_one(origins: tuple[str, ...]) -> tuple[str, ...]:
    if not origins:
        raise ValueError("no page is named; name one, or leave cors out")
    return origins


Origin = Annotated[str, AfterValidator(_as_a_browser_sends_it)]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]+$")]


class CorsSettings(SpecModel):
    """What the router answers to a browser that asks for a page of another site.

    It answers the preflight request itself, without a key; the request that follows needs its key
    or token as any other.
    """

    origins: Annotated[tuple[Origin, ...], AfterValidator(_names_one)]
    """Where the pages come from: `https://app.example.org`, `https://*.example.org`, or `*`."""
    methods: tuple[Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"], ...] = ("GET", "POST")
    """What they may send."""
    headers: tuple[HeaderName, ...] = ("authorization", "content-type", "azureml-model-deployment")
    """Headers that they may send."""
    expose_headers: tuple[HeaderName, ...] = ("x-request-id", "azureml-model-deployment")
    """Headers of an answer that they may read."""
    credentials: bool = False
    """Whether they may send cookies and certificates; a key in a header needs no such right."""
    max_age_s: Annotated[int, Field(ge=0, le=86400)] = 600
    """Seconds for which a browser need not ask again."""

    @model_validator(mode="after")
    def _credentials_are_for_named_pages(self) -> "CorsSettings":
        if self.credentials and "*" in self.origins:
            raise ValueError("credentials with origins '*' would trust every page; name the pages")
        return self
