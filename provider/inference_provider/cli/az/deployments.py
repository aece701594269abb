"""`online-deployment create`, `update` and `delete`."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from inference_provider.cli.az import shown
from inference_provider.cli.az.changes import apply_part, remove_part
from inference_provider.cli.az.declared import COMMAND_LINE, declared, part_of_specs, part_with
from inference_provider.cli.az.documents import named
from inference_provider.cli.az.endpoints import what_goes_with
from inference_provider.cli.az.site import Missing, Site
from inference_provider.cli.az.traffic import traffic_item
from inference_provider.errors import Fault, SpecError, StillServing, TargetError
from inference_provider.files import SourceFolder, file_faults, with_content_hash
from inference_provider.files.azureml.overrides import Overrides
from inference_provider.files.azureml.updates import updated
from inference_provider.observed import Kind, ResourceId
from inference_provider.part import Part
from inference_provider.spec import DeploymentSpec, ModelSpec, WorkspaceSpec
from inference_provider.spec.instance_type import sized
from inference_provider.spec.reference import Reference
from inference_provider.spec.resources import Resources

_CODE = "code_configuration"


def create(site: Site) -> Any:
    """Create a deployment, or change it to what its file says; return its document."""
    new = list[ResourceId]()

    def build(site: Site) -> Part:
        options = Overrides(name=site.asked.name, endpoint=site.asked.endpoint_name)
        azure = declared(site, "online_deployment", options, {})
        (item,) = azure.value["deployments"]
        endpoint = ResourceId(
            kind=Kind.ENDPOINT, workspace=site.workspace, name=str(item["endpoint"])
        )
        if endpoint.name and endpoint not in site.held.specs:
            raise Missing("find", str(endpoint), "not found")
        site.refuse_others(endpoint)
        if not azure.value.get("models"):
            _refuse_unread_model(site, item)
        if getattr(site.asked, "all_traffic", False):
            split = traffic_item(site, endpoint, {"traffic": {item["name"]: 100}})
            azure = azure._replace(value={**azure.value, "traffic": [split]})
        part = part_with(site, azure)
        new.extend(one for one in part.wanted if one.kind == Kind.DEPLOYMENT)
        return part

    apply_part(site, build)
    return shown.made(site, new[0])


def _refuse_unread_model(site: Site, item: Mapping[str, Any]) -> None:
    """Refuse a model of MLflow that is to be served without code and is kept already."""
    if item.get("code_configuration") is not None or not isinstance(item.get("model"), str):
        return
    asked = Reference.parse(item["model"])
    models = (one for one in site.held.specs.values() if isinstance(one, ModelSpec))
    for spec in models:
        if spec.type == "mlflow_model" and asked.fits(spec.name, spec.version):
            reason = "what serves a model of MLflow is made of its files, and they are not read"
            remedy = "write the model inline, with its path; or name code and an environment"
            fault = Fault("model", f"'{item['model']}' is kept already: {reason}", remedy)
            raise SpecError((fault,), COMMAND_LINE)


def update(site: Site) -> Any:
    """Change a deployment; return its document."""
    deployment = site.deployment().id
    if site.asked.file is not None:
        return create(site)
    apply_part(site, _updated)
    return shown.made(site, deployment)


def _updated(site: Site) -> Part:
    there = site.deployment()
    spec = site.held.specs[there.id]
    paths = {pair.partition("=")[0] for pairs in site.asked.sets for pair in pairs}
    _refuse_unchangeable(site, there.id, paths)
    if not isinstance(spec, DeploymentSpec) or any(
        value.get_secret_value().startswith("secret:")
        for value in spec.environment_variables.values()
    ):
        reason = "what it was started from is gone"
        raise TargetError("update", str(there.id), reason, "pass its file")
    about = {
        "name": spec.name,
        "endpoint_name": spec.endpoint,
        "environment": named(spec.environment),
    }
    azure = declared(site, "online_deployment", Overrides(), about)
    if azure.faults:
        raise SpecError(azure.faults, COMMAND_LINE)
    (item,) = azure.value["deployments"]
    changed = updated(_unsized(site, spec) if "instance_type" in item else spec, item, paths)
    has_code = any(path in (_CODE, f"{_CODE}.code") for path in paths)
    if has_code:
        folder = SourceFolder(Path.cwd())
        if faults := file_faults(changed, folder):
            raise SpecError(faults, COMMAND_LINE)
        changed = with_content_hash(changed, folder)
    part = part_of_specs(site, {there.id: changed})
    if has_code:
        return part
    return Part(**{**vars(part), "kept": frozenset({there.id})})


def _unsized(site: Site, spec: DeploymentSpec) -> DeploymentSpec:
    """Return a deployment without the amounts that its instance type has given it."""
    space = site.held.specs.get(ResourceId.of_workspace(site.workspace))
    own = space.instance_types if isinstance(space, WorkspaceSpec) else {}
    bare = spec.model_copy(update={"resources": Resources()})
    return bare if sized(bare, own) == spec else spec


def _refuse_unchangeable(site: Site, deployment: ResourceId, paths: Collection[str]) -> None:
    faults = []
    if not paths:
        faults.append(Fault("--set", "nothing is to be changed", "pass --set PATH=VALUE"))
    for path in paths:
        if path in ("name", "endpoint_name"):
            faults.append(Fault("--set", f"{path} stays as it is", "create another deployment"))
        if path.startswith(("model.", "environment.")) or "[" in path:
            reason = f"{path} is inside an asset, or a list"
            faults.append(Fault("--set", reason, "change its file, and pass that"))
    rule = deployment.model_copy(update={"kind": Kind.AUTOSCALE_RULE})
    if "instance_count" in paths and site.held.observed.get(rule).record:
        reason = "instance_count follows the deployment's autoscale rule"
        faults.append(Fault("--set", reason, "change the rule in its stack file"))
    if faults:
        raise SpecError(tuple(faults), COMMAND_LINE)


def delete(site: Site) -> None:
    """Delete a deployment that gets no requests."""
    site.deployment()
    remove_part(site, _with_its_own)


def _with_its_own(site: Site) -> Collection[ResourceId]:
    there = site.deployment().id
    endpoint = ResourceId(kind=Kind.ENDPOINT, workspace=there.workspace, name=there.endpoint)
    split, name = site.traffic(endpoint), there.name.partition("/")[2]
    for field, what in (("traffic", "of the requests"), ("mirror_traffic", "mirrored")):
        share = split.properties.get(field, {}).get(name, 0) if split else 0
        if share:
            option = f"--{field.replace('_', '-')}"
            reason = f"it gets {share} % {what}"
            command = f"inferctl az online-endpoint update {option}"
            remedy = f"give them to another first, by `{command}`"
            raise StillServing("delete", str(there), reason, remedy)
    return [there, *what_goes_with(site, [there])]
