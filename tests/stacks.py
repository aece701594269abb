"""Small stacks as tests declare them, and the state in which one is applied."""

from datetime import UTC, datetime

from inference_provider.observed import Actor, ObservedResource, ObservedState, Presence, Record
from inference_provider.spec import StackSpec

BLUE = {"endpoint": "iris", "name": "blue", "model": "iris:1", "environment": "env:1"}
DECLARED = {
    "name": "demo",
    "models": [{"name": "iris", "path": "m", "content_hash": "a" * 64}],
    "environments": [{"name": "env", "content_hash": "b" * 64}],
    "endpoints": [{"name": "iris"}],
    "deployments": [BLUE],
    "traffic": [{"endpoint": "iris", "traffic": {"blue": 100}}],
}
"""One resource of each kind that serves a model; content hashes as if they were computed."""

PLAIN_ENVIRONMENT = """\
environments:
  - name: plain
    command: [python, -m, http.server]
    inference_config:
      liveness_route: {path: /, port: 80}
      readiness_route: {path: /, port: 80}
      scoring_route: {path: /, port: 80}
"""
"""The part of a stack file that declares `plain`, which brings its server and needs no build."""


def stack(**fields):
    """Return `DECLARED` with other fields."""
    return StackSpec.model_validate(DECLARED | fields)


def deployment(**fields):
    """Return `DECLARED` with other fields of its deployment."""
    return stack(deployments=[BLUE | fields])


def state(resources, owner="demo", presence=Presence.PRESENT):
    """Return a state in which a stack has applied these resources."""

    def there(resource):
        record = Record(
            id=resource.id,
            owner=owner,
            properties=resource.properties,
            actor=Actor(user="ann"),
            time=datetime(2026, 1, 1, tzinfo=UTC),
        )
        return ObservedResource(id=resource.id, presence=presence, record=record)

    return ObservedState(resources={r.id.address: there(r) for r in resources})
