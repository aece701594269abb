"""Secrets of a workspace that may stand in what its processes write.

Goes in: the state folder. Comes out: values that an error which quotes a log has to leave out.
"""

from inference_provider.desired import DesiredResource
from inference_provider.observed import Kind, ResourceId
from inference_provider.secret_text import Secrets, userinfo_in
from inference_provider.spec import DeploymentSpec, EnvironmentSpec
from inference_provider.targets.local.store import Store


def router_secrets(store: Store) -> Secrets:
    """Return the keys of every endpoint."""
    endpoints = [r.id.name for r in store.records() if r.id.kind == Kind.ENDPOINT]
    return tuple(key for name in endpoints for key in store.keys(name) or ())


def environment_secrets(store: Store, environment: EnvironmentSpec) -> Secrets:
    """Return what placeholders of an environment stood for, and the userinfo in its text."""
    name = f"{environment.name}:{environment.version}"
    resource = ResourceId(kind=Kind.ENVIRONMENT, workspace=store.workspace, name=name)
    texts = (*environment.dependencies, *environment.command)
    return (*store.placeholders(resource), *userinfo_in(texts))


def instance_secrets(
    store: Store, desired: DesiredResource, environment: EnvironmentSpec
) -> Secrets:
    """Return what an instance of a deployment knows: variables, as they were too, and keys."""
    before = store.blueprint(desired.id.name)
    specs = [desired.spec, *([DeploymentSpec.model_validate(before)] if before else [])]
    return (
        *(value for spec in specs for value in spec.environment_variables.values()),
        *(store.keys(desired.spec.endpoint) or ()),
        *desired.placeholders,
        *environment_secrets(store, environment),
    )
