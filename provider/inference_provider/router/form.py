"""The form of the files that this release writes, as a hash. Pure.

When the table is unchanged a router needs no update, unless another release wrote its files in
another form.
"""

import functools
import hashlib
from typing import Any

from pydantic import SecretStr

from inference_provider.router.render import render
from inference_provider.router.table import (
    Backend,
    Cors,
    DeploymentEntry,
    Draining,
    EndpointEntry,
    Limits,
    OutboundEntry,
    ProviderCheck,
    Proxy,
    RouterTable,
    Scorers,
    Tls,
    TokenCheck,
    Traces,
)


@functools.cache
def form() -> str:
    """Return a hash that changes when the code writes different files for the same table.

    The bootstrap is left out: a running router never reads it again.
    """
    samples = (_SAMPLE, _SAMPLE.model_copy(update={"endpoints": ()}))
    patient = _SAMPLE.endpoints[0].model_copy(update={"deployments": (_WAITING,), "mirror": {}})
    by_socket = {"outbound": _OUTBOUND, "proxy": _PROXY.model_copy(update={"socket": "/5"})}
    waiting = _SAMPLE.model_copy(update={"endpoints": (patient,), **by_socket})
    more = {"tls": _TLS, "sources": ("10.0.0.0/8", "::1"), "outbound": _OUTBOUND, "proxy": _PROXY}
    more["traces"] = Traces(url="https://a:1", sample_percent=1, workspace="w", ca_file="/6")
    hops = {"trusted_hops": 1, "trusted_proxies": ("10.0.0.1",)}
    secure = _SAMPLE.model_copy(update=more | hops)
    files = [sorted(render(sample).files.items()) for sample in (*samples, secure, waiting)]
    return hashlib.sha256(repr(files).encode()).hexdigest()[:16]


def _deployment(name: str, **values: Any) -> DeploymentEntry:
    return DeploymentEntry(name=name, timeout_ms=1000, max_concurrent=1, **values)


def _provided(name: str, check: ProviderCheck) -> EndpointEntry:
    return EndpointEntry(
        name=name,
        keys=(),
        provider=check,
        scorers=Scorers(principals=("a",), groups=("b",)),
        deployment_scorers={"a": Scorers(principals=("c",))},
        deployments=(_deployment("a", backends=()), _deployment("b", backends=())),
    )


_WAITING = _deployment("a", backends=(), patience_s=1, held=True)
_PORT = (Backend(host="127.0.0.1", port=3),)
_SOCKET = (Backend(host="127.0.0.1", port=4, socket="/4"),)
_TLS = Tls(certificate="a", private_key=SecretStr("b"), minimum_version="1.3", client_ca="c")
_OUTBOUND = (
    OutboundEntry(destination="a.example", ports=(80, 443)),
    OutboundEntry(destination="*.b.example", ports=(8443,), private=True),
)
_PROXY = Proxy(host="127.0.0.1", port=5, clients=("10.0.0.0/8",))
_SAMPLE = RouterTable(
    folder="/",
    host="127.0.0.1",
    port=1,
    metrics_port=2,
    endpoints=(
        EndpointEntry(
            name="split",
            keys=(SecretStr("first"), SecretStr("second")),
            deployments=(
                _deployment("a", backends=_PORT),
                _deployment("b", backends=_SOCKET, retry_on_503=True, scoring_path="/v1"),
            ),
            weights={"a": 1},
            mirror={"b": 1},
            limits=Limits(per_minute=1, per_minute_per_caller=1),
            sources=("10.0.0.0/8",),
            max_body_mib=1,
        ),
        EndpointEntry(
            name="closed",
            keys=(),
            deployments=(_deployment("a", backends=(), scoring_path="/v1"),),
            weights={"a": 1},
        ),
        EndpointEntry(
            name="tokens",
            keys=(),
            tokens=TokenCheck(issuer="a", audience="b", jwks="{}"),
            cors=Cors(
                origins=("*", "https://a"),
                methods=("GET",),
                headers=("a",),
                expose_headers=("b",),
                credentials=False,
                max_age_s=1,
            ),
            deployments=(_deployment("a", backends=()),),
        ),
        _provided("fetched", ProviderCheck(issuer="a", audiences=("b",), jwks_uri="https://c/d")),
        _provided("given", ProviderCheck(issuer="b", audiences=("b",), jwks="{}")),
        EndpointEntry(name="no-traffic", keys=(), deployments=(_deployment("a", backends=()),)),
    ),
    draining=(
        Draining(cluster="split/c/mirror", deployment=_deployment("c", backends=()), until_s=0),
    ),
)
"""A table that covers every way to render an endpoint."""
