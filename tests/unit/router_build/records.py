"""Records of a workspace, and the entries that a router's table has for them."""

from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from inference_provider.observed import Actor, Kind, Record, ResourceId
from inference_provider.router import Backend, EndpointEntry
from inference_provider.router.build import Builder
from inference_provider.spec import EnvironmentSpec

KEYS = (SecretStr("first"), SecretStr("second"))
ONE = (Backend(host="127.0.0.1", port=9001),)
PLAIN = EnvironmentSpec(name="plain")
OWN_SERVER = EnvironmentSpec.model_validate(
    {
        "name": "own",
        "command": ["serve", "--port", "{port}"],
        "inference_config": {
            "liveness_route": {"path": "/live", "port": 1},
            "readiness_route": {"path": "/ready", "port": 1},
            "scoring_route": {"path": "/v1/predict", "port": 1},
        },
    }
)


def record(kind: Kind, name: str, /, **properties: Any) -> Record:
    return Record(
        id=ResourceId(kind=kind, workspace="lab", name=name),
        owner="demo",
        properties=properties,
        actor=Actor(user="ann"),
        time=datetime(2026, 1, 1, tzinfo=UTC),
    )


def endpoint(name: str, auth_mode: str = "key", **fields: Any) -> Record:
    return record(Kind.ENDPOINT, name, name=name, auth_mode=auth_mode, **fields)


def deployment(name: str, environment: str = "plain", **settings: Any) -> Record:
    asked = {
        "request_timeout_ms": 5000,
        "max_concurrent_requests_per_instance": 2,
        "retry_on_503": False,
    }
    return record(
        Kind.DEPLOYMENT,
        name,
        endpoint=name.partition("/")[0],
        name=name.partition("/")[2],
        environment=environment,
        request_settings=asked | settings,
        readiness_probe={"period": 10, "timeout": 2, "failure_threshold": 30},
    )


def traffic(name: str, shares: dict[str, int], mirror: dict[str, int] | None = None) -> Record:
    return record(Kind.TRAFFIC, name, traffic=shares, mirror_traffic=mirror or {})


class Workspace:
    """The inputs of a build, and what was asked for."""

    def __init__(self, *records: Record) -> None:
        self.records = records
        self.keys = {r.id.name: KEYS for r in records if r.id.kind == Kind.ENDPOINT}
        self.jwks: dict[str, str] = {}
        self.backends: dict[str, tuple[Backend, ...]] = {}
        self.environments: list[str] = []

    def environment(self, pinned: str) -> EnvironmentSpec:
        self.environments.append(pinned)
        return {"plain": PLAIN, "own": OWN_SERVER}[pinned]

    def built(self, builder: Builder | None = None) -> tuple[EndpointEntry, ...]:
        return (builder or Builder()).endpoints(
            self.records,
            self.keys.get,
            self.jwks.get,
            lambda one: self.backends.get(one.id.name, ONE),
            self.environment,
        )


def lab(**fields: Any) -> Record:
    return record(Kind.WORKSPACE, "lab", name="lab", **fields)
