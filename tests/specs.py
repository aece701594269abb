"""Specs as tests of them write them, with what every one needs."""

from inference_provider.spec import (
    DeploymentSpec,
    EndpointSpec,
    EnvironmentSpec,
    ModelSpec,
    StackSpec,
)


def deployment(**fields):
    base = {"endpoint": "iris", "name": "blue", "model": "iris:1", "environment": "env:1"}
    code = {"code": "src", "scoring_script": "score.py"}
    return DeploymentSpec.model_validate(base | {"code_configuration": code} | fields)


def stack(**fields):
    base = {
        "models": (ModelSpec(name="iris", path="m"),),
        "environments": (EnvironmentSpec(name="env"),),
        "endpoints": (EndpointSpec(name="iris"),),
        "deployments": (deployment(),),
    }
    return StackSpec.model_validate({"name": "demo"} | base | fields)
