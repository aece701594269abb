"""What is loaded beside each other in the benchmark of the router, and how it is loaded."""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from measure import BIN, answers, free_port, median, running, until
from pydantic import SecretStr

from inference_provider.router import Backend, DeploymentEntry, EndpointEntry, RouterTable
from inference_provider.router.resource import API, address
from inference_provider.targets.envoy.delivery import Delivery

HERE = Path(__file__).parent
KEY = "benchmark-key-0123456789abcdef"
ROUNDS, SECONDS = 7, 2
_MANAGER = f"{API}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
Document = dict[str, Any]


@dataclass(frozen=True)
class Subject:
    """Something that answers a scoring request."""

    name: str
    url: str
    process: psutil.Process
    credential: str = KEY
    """Key or token of each request."""


@dataclass(frozen=True)
class Figures:
    """What one round showed."""

    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    """Processor time of the subject for one request."""


def rounds(subjects: tuple[Subject, ...], connections: int) -> dict[str, Figures]:
    seen: dict[str, list[Figures]] = {subject.name: [] for subject in subjects}
    for subject in subjects:  # connections and caches, before anything counts
        _load(subject, connections, 1)
    for _ in range(ROUNDS):
        for subject in subjects:
            seen[subject.name].append(_load(subject, connections, SECONDS))
    return {name: _median(found) for name, found in seen.items()}


def _median(found: list[Figures]) -> Figures:
    return Figures(
        median([one.per_s for one in found]),
        median([one.p50_ms for one in found]),
        median([one.p99_ms for one in found]),
        median([one.cpu_us for one in found]),
    )


def _load(subject: Subject, connections: int, seconds: int) -> Figures:
    command = ("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(HERE / "score.lua"))
    before_s = _cpu_s(subject)
    done = subprocess.run(
        (*command, subject.url),
        capture_output=True,
        text=True,
        timeout=seconds + 30,
        check=True,
        env={**os.environ, "BENCH_KEY": subject.credential},
    )
    spent_s = _cpu_s(subject) - before_s
    found = json.loads(done.stderr.splitlines()[-1])
    if found["failed"]:
        raise RuntimeError(f"{subject.name}: {found['failed']} of {found['requests']} failed")
    return Figures(
        found["requests"] / found["us"] * 1e6,
        found["p50_us"] / 1000,
        found["p99_us"] / 1000,
        spent_s / found["requests"] * 1e6,
    )


def _cpu_s(subject: Subject) -> float:
    times = subject.process.cpu_times()
    return float(times.user + times.system)


@contextlib.contextmanager
def subject(
    name: str,
    folder: Path,
    port: int,
    command: tuple[str, ...],
    path: str = "/endpoints/iris/score",
    *,
    credential: str = KEY,
    scheme: str = "http",
) -> Iterator[Subject]:
    url = f"{scheme}://127.0.0.1:{port}{path}"
    headers = {"authorization": f"Bearer {credential}"}
    with running(command, folder / f"{name.replace(' ', '-')}.log") as process:
        until(lambda: answers(port), f"start of {name}")
        with httpx.Client(verify=False) as client:
            until(lambda: client.post(url, headers=headers).status_code == 200, f"200 from {name}")
        yield Subject(name, url, psutil.Process(process.pid), credential)


def envoy(
    name: str,
    folder: Path,
    port: int,
    document: Document,
    path: str = "/score",
    *,
    credential: str = KEY,
    scheme: str = "http",
) -> Any:
    file = folder / f"{name.replace(' ', '-')}.json"
    file.write_text(json.dumps(document))
    command = (str(BIN / "envoy"), "--config-path", str(file), "--disable-hot-restart")
    command = (*command, "--concurrency", "1", "--log-level", "error")
    return subject(name, folder, port, command, path, credential=credential, scheme=scheme)


def full(folder: Path, backend: int) -> Any:
    own = folder / "full"
    own.mkdir()  # Envoy's check opens the access log in it
    router = Delivery(own, workers=1)
    table = table_of(own, backend)
    router.validate(table)
    router.write_all(table)
    return subject("full router", folder, table.port, router.command())


def table_of(folder: Path, backend: int) -> RouterTable:
    deployments = tuple(
        DeploymentEntry(
            name=name,
            backends=(Backend(host="127.0.0.1", port=backend),),
            timeout_ms=5000,
            max_concurrent=64,
        )
        for name in ("blue", "green")
    )
    endpoint = EndpointEntry(
        name="iris",
        keys=(SecretStr(KEY), SecretStr("another-key")),
        deployments=deployments,
        weights={"blue": 90, "green": 10},
    )
    return RouterTable(
        folder=str(folder),
        host="127.0.0.1",
        port=free_port(),
        metrics_port=free_port(),
        endpoints=(endpoint,),
    )


def backend(port: int) -> Document:
    """Return an Envoy that answers 1 KiB of JSON by itself."""
    body = json.dumps({"result": "x" * (1024 - 14)})
    answer = {"status": 200, "body": {"inline_string": body}}
    # an answer before the body has come would close the connection
    kind = f"{API}extensions.filters.http.buffer.v3.Buffer"
    whole = {
        "name": "envoy.filters.http.buffer",
        "typed_config": {"@type": kind, "max_request_bytes": 65536},
    }
    return _server(port, {"match": {"prefix": "/"}, "direct_response": answer}, [], [whole])


def bare(port: int, backend: int) -> Document:
    """Return an Envoy with one route, one cluster and nothing else."""
    host = {"endpoint": {"address": address("127.0.0.1", backend)}}
    cluster = {
        "name": "backend",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "backend", "endpoints": [{"lb_endpoints": [host]}]},
    }
    return _server(port, {"match": {"prefix": "/"}, "route": {"cluster": "backend"}}, [cluster], [])


def _server(
    port: int, route: Document, clusters: list[Document], filters: list[Document]
) -> Document:
    kind = f"{API}extensions.filters.http.router.v3.Router"
    last = {"name": "envoy.filters.http.router", "typed_config": {"@type": kind}}
    manager = {
        "@type": _MANAGER,
        "stat_prefix": "bare",
        "http_filters": [*filters, last],
        "route_config": {"virtual_hosts": [{"name": "a", "domains": ["*"], "routes": [route]}]},
    }
    listener = {
        "name": "http",
        "address": address("127.0.0.1", port),
        "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}],
    }
    return {"static_resources": {"listeners": [listener], "clusters": clusters}}
