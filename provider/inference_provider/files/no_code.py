"""Deployments of MLflow models without code -> with the code and the environment that serve them.

Goes in: the listings of a stack, as they are written. Comes out: the same, where such a deployment
names the package's own scoring script, and an environment made of the model's own files where it
names none. So a target sees nothing but code and an environment, as of any other deployment.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from inference_provider.errors import Fault
from inference_provider.files.mlmodel import (
    Broken,
    environment_of,
    installs_mlflow,
    read_mlmodel,
    refuse_without_python,
)
from inference_provider.spec import EnvironmentSpec
from inference_provider.spec.reference import Reference, version_order

CODE = Path(__file__).parents[1] / "serving" / "mlflow_model"
"""Code of ours that runs in a model's environment; nothing here imports it."""
SCRIPT = "mlflow_score.py"
_NAME_ONE = "name one; only a model of type mlflow_model is served without one"

Listings = dict[str, list[Any]]


@dataclass
class NoCode:
    """What was filled in."""

    made: dict[str, str] = field(default_factory=dict)
    """`environments.<i>` -> `models.<j>`, of whose files it was made."""
    faults: list[Fault] = field(default_factory=list)

    def place(self, fault: Fault) -> Fault:
        """Return a fault of an environment that was made as one of its model."""
        listing, number, inside = [*fault.path.split(".", 2), "", ""][:3]
        if (listing, inside, fault.remedy) == ("deployments", "environment", "add it"):
            return replace(fault, remedy=_NAME_ONE)
        model = self.made.get(f"{listing}.{number}")
        if model is None:
            return fault
        reason = f"what its own files ask for: {inside}: {fault.reason}"
        remedy = f"{fault.remedy}; or give the deployment an environment"
        return replace(fault, path=f"{model}.path", reason=reason, remedy=remedy)


def fill_in(raw: Listings, base_dir: Path) -> NoCode:
    """Fill in what such deployments leave out; what is written stays as it is."""
    found = NoCode()
    deployments = raw.get("deployments", [])
    for i, item in enumerate(deployments):
        j = _model_without_code(item, raw.get("models", []))
        if j is None:
            continue
        filled = dict(item)
        if item.get("environment") is None:
            filled["environment"] = _made_for(j, raw, base_dir, found)
        else:
            environments = _named(item, raw.get("environments", []))
            if environments is None or any(one.brings_server for one in environments):
                continue  # it has a server of its own, or cannot be read
            for one in environments:
                found.faults += _without_mlflow((i, j), one, raw["models"][j], base_dir)
        filled["code_configuration"] = {"code": str(CODE), "scoring_script": SCRIPT}
        deployments[i] = filled
    return found


def _model_without_code(item: Any, models: list[Any]) -> int | None:
    """Return which model a deployment without code serves; None if it is none of MLflow."""
    if not isinstance(item, dict) or item.get("kind", "online") != "online":
        return None
    if item.get("code_configuration") is not None or not isinstance(item.get("model"), str):
        return None
    fitting = [
        (version_order(str(model.get("version", "1"))), j)
        for j, model in enumerate(models)
        if _fits(item["model"], item, model)
    ]
    if not fitting:
        return None
    _, j = max(fitting)
    is_mlflows = models[j].get("type") == "mlflow_model" and isinstance(models[j].get("path"), str)
    return j if is_mlflows else None


def _fits(reference: str, item: dict[str, Any], asset: Any) -> bool:
    if not isinstance(asset, dict) or asset.get("workspace") != item.get("workspace"):
        return False
    name, version = str(asset.get("name", "")), str(asset.get("version", "1"))
    return Reference.parse(reference).fits(name, version)


def _named(item: dict[str, Any], environments: list[Any]) -> list[EnvironmentSpec] | None:
    """Return the environments that a deployment may mean; None where one has faults."""
    written = item["environment"]
    fitting = [
        one for one in environments if isinstance(written, str) and _fits(written, item, one)
    ]
    try:
        return [EnvironmentSpec.model_validate(one) for one in fitting]
    except ValidationError:
        return None


def _made_for(j: int, raw: Listings, base_dir: Path, found: NoCode) -> str:
    """Return the reference of the environment of a model, and declare it once."""
    model = raw["models"][j]
    name, version = f"{model.get('name')}-mlflow", str(model.get("version", "1"))
    if f"models.{j}" in found.made.values():
        return f"{name}:{version}"
    made = {
        **{key: model[key] for key in ("workspace",) if key in model},
        "name": name,
        "version": version,
        "description": f"What the files of model {model.get('name')}:{version} ask for.",
    }
    try:
        described = read_mlmodel(base_dir, model["path"])
        refuse_without_python(described)
        made |= environment_of(described, base_dir)
    except Broken as broken:
        found.faults += [replace(one, path=f"models.{j}.path") for one in broken.faults]
    except (OSError, ValueError):  # not a path; the model's own fault says so
        pass
    environments = raw.setdefault("environments", [])
    if any(_fits(f"{name}:{version}", made, one) for one in environments):
        reason = f"'{name}:{version}' is the environment that is made of its files"
        remedy = "rename the declared one, or name it as the deployment's environment"
        found.faults.append(Fault(f"models.{j}.name", reason, remedy))
        return f"{name}:{version}"
    found.made[f"environments.{len(environments)}"] = f"models.{j}"
    environments.append(made)
    return f"{name}:{version}"


def _without_mlflow(
    place: tuple[int, int], environment: EnvironmentSpec, model: dict[str, Any], base_dir: Path
) -> Iterator[Fault]:
    deployment, j = place
    try:
        described = read_mlmodel(base_dir, model["path"])
        refuse_without_python(described)
    except Broken as broken:
        yield from (replace(one, path=f"models.{j}.path") for one in broken.faults)
        return
    except (OSError, ValueError):
        return
    if not installs_mlflow(environment, base_dir):
        named = f"{environment.name}:{environment.version}"
        reason = f"'{named}' installs no mlflow, which serves a model without code"
        remedy = f"add {described.requirement} to its dependencies"
        yield Fault(f"deployments.{deployment}.environment", reason, remedy)
