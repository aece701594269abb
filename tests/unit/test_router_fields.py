"""Each field of what an endpoint or a router is given, changed alone, is published."""

from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from inference_provider.router import DeploymentEntry, EndpointEntry, RouterTable
from inference_provider.router.steps import steps
from inference_provider.router.table import (
    Backend,
    Cors,
    Limits,
    OutboundEntry,
    ProviderCheck,
    Proxy,
    Scorers,
    Tls,
    TokenCheck,
    Traces,
)

BLUE = DeploymentEntry(
    name="blue",
    backends=(Backend(host="127.0.0.1", port=9001),),
    timeout_ms=5000,
    max_concurrent=1,
)
PROVIDER = ProviderCheck(issuer="https://a.test", audiences=("a",), jwks='{"keys":[]}')
ASKED: dict[str, dict[str, Any]] = {
    "tokens": {"auth_mode": "aml_token"},
    "provider": {"auth_mode": "aad_token", "scorers": Scorers(principals=("ann",))},
    "scorers": {"auth_mode": "aad_token", "provider": PROVIDER},
}
"""What else an endpoint has that has one of these."""
OF_ENDPOINT: dict[str, tuple[BaseModel, dict[str, Any]]] = {
    "tokens": (
        TokenCheck(issuer="urn:a", audience="urn:a:b", jwks='{"keys":[]}'),
        {"issuer": "urn:c", "audience": "urn:a:c", "jwks": '{"keys":[{"kty":"EC"}]}'},
    ),
    "provider": (
        PROVIDER,
        {
            "issuer": "https://b.test",
            "audiences": ("a", "b"),
            "jwks": '{"keys":[{"kty":"EC"}]}',
            "jwks_uri": "https://a.test/keys",
            "principal_claim": "oid",
            "groups_claim": "roles",
        },
    ),
    "scorers": (
        Scorers(principals=("ann",), groups=("ops",)),
        {"principals": ("ann", "eve"), "groups": ()},
    ),
    "cors": (
        Cors(
            origins=("https://a.test",), methods=("POST",), headers=("authorization",),
            expose_headers=(), credentials=False, max_age_s=60,
        ),
        {
            "origins": ("https://b.test",),
            "methods": ("GET",),
            "headers": ("x-a",),
            "expose_headers": ("x-b",),
            "credentials": True,
            "max_age_s": 61,
        },
    ),
    "limits": (
        Limits(per_minute=9, per_minute_per_caller=3),
        {"per_minute": 10, "per_minute_per_caller": 4},
    ),
}  # fmt: skip
"""What an endpoint is asked with: one, and another value for each of its fields."""
OF_ROUTER: dict[str, tuple[BaseModel, dict[str, Any]]] = {
    "tls": (
        Tls(certificate="a", private_key=SecretStr("b")),
        {
            "certificate": "c",
            "private_key": SecretStr("d"),
            "minimum_version": "1.3",
            "client_ca": "e",
        },
    ),
    "traces": (
        Traces(url="http://127.0.0.1:4318", sample_percent=1, workspace="lab"),
        {
            "url": "https://127.0.0.1:4319",
            "sample_percent": 2,
            "workspace": "edge",
        },
    ),
    "proxy": (
        Proxy(host="172.18.0.1", port=20080),
        {"host": "172.18.0.2", "port": 20081, "clients": ("10.0.0.0/8",), "socket": "/srv/p"},
    ),
    "outbound": (
        OutboundEntry(destination="pypi.org", ports=(80, 443)),
        {"destination": "*.pypi.org", "ports": (443,), "private": True},
    ),
}
TOGETHER = {("provider", "refresh_s"), ("traces", "ca_file")}
"""These count only beside another field: `jwks_uri`, a URL of https."""


def endpoint(field: str, value: BaseModel) -> RouterTable:
    entry = EndpointEntry(
        name="chat",
        keys=(SecretStr("key-one"), SecretStr("key-two")),
        deployments=(BLUE,),
        weights={"blue": 100},
        **{**ASKED.get(field, {}), field: value},
    )
    return router(endpoints=(entry,))


def router(**given: Any) -> RouterTable:
    where = {"folder": "/srv/router", "host": "127.0.0.1", "port": 8080, "metrics_port": 8081}
    return RouterTable(**{**where, **given})


def given(name: str, value: BaseModel) -> RouterTable:
    if name not in ("proxy", "outbound"):
        return router(**{name: value})
    both = {"proxy": OF_ROUTER["proxy"][0], "outbound": OF_ROUTER["outbound"][0], name: value}
    return router(proxy=both["proxy"], outbound=(both["outbound"],))


def cases(of: dict[str, tuple[BaseModel, dict[str, Any]]]) -> list[tuple[str, str]]:
    return [
        (name, field)
        for name, (one, _) in of.items()
        for field in type(one).model_fields
        if (name, field) not in TOGETHER
    ]


def is_published(make: Any, name: str, one: BaseModel, other: dict[str, Any]) -> bool:
    return steps(make(name, one), make(name, one.model_copy(update=other))) != ()


@pytest.mark.parametrize(("name", "field"), cases(OF_ENDPOINT))
def test_a_field_of_what_an_endpoint_is_asked_with_is_published_alone(name: str, field: str):
    one, others = OF_ENDPOINT[name]
    assert field in others, "a field that is new needs another value here"
    assert not is_published(endpoint, name, one, {})
    assert is_published(endpoint, name, one, {field: others[field]})


@pytest.mark.parametrize(("name", "field"), cases(OF_ROUTER))
def test_a_field_of_what_a_router_is_given_is_published_alone(name: str, field: str):
    one, others = OF_ROUTER[name]
    assert field in others, "a field that is new needs another value here"
    assert not is_published(given, name, one, {})
    assert is_published(given, name, one, {field: others[field]})


def test_what_counts_beside_another_field_is_published_where_that_is():
    fetched = PROVIDER.model_copy(update={"jwks": "", "jwks_uri": "https://a.test/keys"})
    assert is_published(endpoint, "provider", fetched, {"refresh_s": 61})
    secure = OF_ROUTER["traces"][0].model_copy(update={"url": "https://127.0.0.1:4318"})
    assert is_published(given, "traces", secure, {"ca_file": "/etc/ca.pem"})
