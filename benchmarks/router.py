"""The router against bare Envoy, no router at all, and a plain Python proxy.

Every subject stands in front of the same backend, and rounds are interleaved, so that whatever else
the machine does falls on all of them. CPU is that of the subject's process alone.
"""

import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import subjects
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from measure import Table, free_port, skipped
from subjects import KEY, ROUNDS, SECONDS, Document, Figures, Subject

from inference_provider.observed import Kind, ResourceId
from inference_provider.router import RouterTable
from inference_provider.router.envoy import runtime_layer
from inference_provider.router.render import render_static
from inference_provider.router.table import Limits, ProviderCheck, Scorers, TokenCheck, Traces
from inference_provider.spec.tls import TlsSettings
from inference_provider.workspace.certificates import kept_for
from inference_provider.workspace.signing import SigningKeys
from inference_provider.workspace.tokens import issue, new_signing_key

HERE = Path(__file__).parent
TITLE = "Router"
CONNECTIONS = (1, 16)
GOAL = 0.75
SCORE = "/endpoints/iris/score"
Change = Callable[[Document], None]
Given = Callable[[RouterTable], tuple[RouterTable, str]]
"""Returns a table with one thing more, and what a caller shows."""


def measure() -> list[Table]:
    if not shutil.which("wrk"):
        return [skipped(TITLE, "no wrk on PATH; on Debian: apt-get install wrk")]
    with tempfile.TemporaryDirectory(prefix="bench-") as text, contextlib.ExitStack() as stack:
        os.environ["BENCH_KEY"] = KEY  # of the plain proxy
        folder = Path(text)
        backend = free_port()
        direct = stack.enter_context(
            subjects.envoy("direct", folder, backend, subjects.backend(backend))
        )
        return [_sides(folder, backend, direct), _features(folder, backend)]


# -- side by side ----------------------------------------------------------------------------------


def _sides(folder: Path, backend: int, direct: Subject) -> Table:
    bare, plain = free_port(), free_port()
    proxy = (sys.executable, str(HERE / "plain_proxy.py"), str(plain), str(backend), "BENCH_KEY")
    with (
        subjects.envoy("bare Envoy", folder, bare, subjects.bare(bare, backend)) as envoy,
        subjects.full(folder, backend) as full,
        subjects.subject("Starlette + httpx", folder, plain, proxy) as python,
    ):
        asked = (direct, envoy, full, python)
        found = {at: subjects.rounds(asked, at) for at in CONNECTIONS}
    rows = [
        _row(subject, at, found[at][subject.name], found[at]["bare Envoy"])
        for at in CONNECTIONS
        for subject in asked
    ]
    ratio = found[16]["full router"].per_s / found[16]["bare Envoy"].per_s
    verdict = "reached" if ratio >= GOAL else "missed"
    header = "subject", "connections", "requests/s", "p50 ms", "p99 ms", "CPU us/request", "of bare"
    notes = (
        f"Full router at 16 connections: {ratio:.2f} of bare Envoy (goal: {GOAL}, {verdict}). "
        f"Median of {ROUNDS} interleaved rounds of {SECONDS} s; one Envoy worker; POST of a small "
        "JSON body, 1 KiB answer; closed loop (wrk, one thread).",
    )
    return Table(TITLE, header, rows, notes)


def _row(subject: Subject, at: int, one: Figures, bare: Figures) -> tuple[str, ...]:
    return (
        subject.name,
        str(at),
        f"{one.per_s:,.0f}",
        f"{one.p50_ms:.2f}",
        f"{one.p99_ms:.2f}",
        f"{one.cpu_us:.0f}",
        f"{one.per_s / bare.per_s:.2f}",
    )


# -- what a feature costs --------------------------------------------------------------------------


def _features(folder: Path, backend: int) -> Table:
    without: dict[str, Change] = {
        "everything on": _as_it_is,
        "without the 424 filter (Lua)": lambda manager: drop(
            manager, "http_filters", "corrections"
        ),
        "without the access log": lambda manager: drop(manager, "access_log", "json"),
        "without the statistics log": lambda manager: drop(manager, "access_log", "stats"),
        "without key auth": lambda manager: drop(manager, "http_filters", "api_key_auth"),
        "without the filters that are off": _drop_off,
        "without any of these": _drop_all,
    }
    with contextlib.ExitStack() as stack:
        asked = (
            *(
                stack.enter_context(static(name, folder, backend, change))
                for name, change in without.items()
            ),
            *(
                stack.enter_context(static(name, folder, backend, change, given=given))
                for name, (given, change) in _MORE.items()
            ),
        )
        found = subjects.rounds(asked, 16)
    full = found["everything on"]
    rows = [
        (name, f"{one.per_s:,.0f}", f"{one.cpu_us:.1f}", f"{full.cpu_us - one.cpu_us:+.1f}")
        for name, one in found.items()
    ]
    header = "router", "requests/s", "CPU us/request", "saved us"
    note = "16 connections, one worker; the same configuration as one static file."
    return Table("What a feature of the router costs", header, rows, (note,))


def drop(manager: Document, kind: str, name: str) -> None:
    kept = [one for one in manager[kind] if not one["name"].endswith(name)]
    if len(kept) == len(manager[kind]):
        raise RuntimeError(f"the router has no {name} to leave out")
    manager[kind] = kept


def _drop_off(manager: Document) -> None:
    manager["http_filters"] = [one for one in manager["http_filters"] if not one.get("disabled")]


def _drop_all(manager: Document) -> None:
    manager["access_log"] = []
    _drop_off(manager)
    for name in ("corrections", "api_key_auth"):
        drop(manager, "http_filters", name)


def _as_it_is(_manager: Document) -> None:
    pass


def _forget_tokens(manager: Document) -> None:
    """Check each token's signature again, as the router does where it fetches the keys."""
    (found,) = (one for one in manager["http_filters"] if one["name"].endswith("identity_provider"))
    for provider in found["typed_config"]["providers"].values():
        del provider["jwt_cache_config"]


def static(
    name: str,
    folder: Path,
    backend: int,
    change: Change,
    *,
    given: Given = lambda table: (table, KEY),
) -> Any:
    own = folder / "".join(word[0] for word in f"static {name}".split())
    own.mkdir()
    table, credential = given(subjects.table_of(own, backend))
    document = json.loads(render_static(table))
    weights = {"name": "weights", "static_layer": runtime_layer(table)}
    document["layered_runtime"] = {"layers": [weights]}
    public = document["static_resources"]["listeners"][-1]
    change(public["filter_chains"][0]["filters"][0]["typed_config"])
    scheme = "https" if table.tls else "http"
    return subjects.envoy(
        name, own, table.port, document, SCORE, credential=credential, scheme=scheme
    )


def _with_tls(table: RouterTable) -> tuple[RouterTable, str]:
    made = kept_for(TlsSettings(generate=True), None, "bench", "127.0.0.1", datetime.now(UTC))
    return table.model_copy(update={"tls": made.tls}), KEY


def _with_traces(table: RouterTable) -> tuple[RouterTable, str]:
    """Return the table with spans that go to the model, which answers whatever comes."""
    model = table.endpoints[0].deployments[0].backends[0]
    url = f"http://{model.host}:{model.port}"
    traces = Traces(url=url, sample_percent=100, workspace="bench")
    return table.model_copy(update={"traces": traces}), KEY


def _with(**values: Any) -> Given:
    """Return what gives all endpoints these values."""

    def given(table: RouterTable) -> tuple[RouterTable, str]:
        endpoints = tuple(one.model_copy(update=values) for one in table.endpoints)
        return table.model_copy(update={"endpoints": endpoints}), KEY

    return given


def _of_tokens(table: RouterTable) -> tuple[RouterTable, str]:
    """Return the table with tokens instead of keys, and a token."""
    keys = SigningKeys(newer=new_signing_key())
    id_ = ResourceId(kind=Kind.ENDPOINT, workspace="bench", name="iris")
    check = TokenCheck.of(id_, keys.jwks)
    update = {"keys": (), "auth_mode": "aml_token", "tokens": check}
    endpoints = tuple(one.model_copy(update=update) for one in table.endpoints)
    issued = issue(check, keys, "ann", datetime.now(UTC), timedelta(hours=1))
    return table.model_copy(update={"endpoints": endpoints}), issued.value.get_secret_value()


def _of_provider(table: RouterTable) -> tuple[RouterTable, str]:
    """Return the table with a provider's tokens instead of keys, and one of somebody with a role.

    Signed by RS256, as those of most providers; ten users and ten groups have the role.
    """
    private = rsa.generate_private_key(65537, 2048)
    public = {**json.loads(RSAAlgorithm.to_jwk(private.public_key())), "kid": "one", "use": "sig"}
    jwks = json.dumps({"keys": [public]})
    names = tuple(f"{i:08}-0000-4000-8000-000000000000" for i in range(10))
    check = ProviderCheck(issuer="https://login.example.org", audiences=("bench",), jwks=jwks)
    scorers = Scorers(principals=names, groups=names)
    update = {"keys": (), "auth_mode": "aad_token", "provider": check, "scorers": scorers}
    endpoints = tuple(one.model_copy(update=update) for one in table.endpoints)
    claims = {"iss": check.issuer, "aud": "bench", "sub": "ann", "groups": names[-1:]}
    until = datetime.now(UTC) + timedelta(hours=1)
    token = jwt.encode({**claims, "exp": until}, private, "RS256", headers={"kid": "one"})
    return table.model_copy(update={"endpoints": endpoints}), token


_MORE: Mapping[str, tuple[Given, Change]] = {
    "tokens instead of keys": (_of_tokens, _as_it_is),
    "a provider's tokens, keys given": (_of_provider, _as_it_is),
    "a provider's tokens, keys fetched": (_of_provider, _forget_tokens),
    "with limits of all and of each caller": (
        _with(limits=Limits(per_minute=100_000_000, per_minute_per_caller=100_000_000)),
        _as_it_is,
    ),
    "with source ranges": (_with(sources=("127.0.0.0/8", "::1/128")), _as_it_is),
    "with TLS": (_with_tls, _as_it_is),
    "with a span of each request": (_with_traces, _as_it_is),
}
