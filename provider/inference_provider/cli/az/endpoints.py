"""`online-endpoint create`, `update` and `delete`."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from inference_provider.cli.az import shown
from inference_provider.cli.az.changes import apply_part, remove_part
from inference_provider.cli.az.declared import COMMAND_LINE, declared, part_of_specs, part_with
from inference_provider.cli.az.site import Site
from inference_provider.cli.az.traffic import traffic_item
from inference_provider.errors import Fault, SpecError, TargetError
from inference_provider.files.azureml.overrides import Overrides
from inference_provider.files.azureml.updates import updated
from inference_provider.files.wording import faults_of
from inference_provider.observed import Kind, ObservedResource, ResourceId
from inference_provider.part import Part
from inference_provider.secret_text import holds_secret
from inference_provider.spec import SpecModel, TrafficSpec
from inference_provider.spec.reference import Reference

_SPLIT = ("traffic", "mirror_traffic")


def create(site: Site) -> Any:
    """Create an endpoint, or change it to what its file says; return its document."""
    new = list[ResourceId]()

    def build(site: Site) -> Part:
        mode = site.asked.auth_mode
        azure = declared(
            site,
            "online_endpoint",
            Overrides(name=site.asked.name),
            {"auth_mode": mode} if mode else {},
        )
        part = part_with(site, azure)
        new.extend(one for one in part.wanted if one.kind == Kind.ENDPOINT)
        return part

    apply_part(site, build)
    return shown.made(site, new[0])


def update(site: Site) -> Any:
    """Change an endpoint, its split or its mirror; return its document."""
    endpoint = site.endpoint("--name").id
    asked = site.asked
    if asked.file is not None:
        if asked.traffic is not None or asked.mirror_traffic is not None:
            fault = Fault("--traffic", "a file is given too", "update once by each")
            raise SpecError((fault,), COMMAND_LINE)
        asked.auth_mode = None
        return create(site)
    apply_part(site, _updated)
    return shown.made(site, endpoint)


def _updated(site: Site) -> Part:
    endpoint, asked = site.endpoint("--name"), site.asked
    options = Overrides(traffic=asked.traffic, mirror_traffic=asked.mirror_traffic)
    azure = declared(site, "online_endpoint", options, {"name": endpoint.id.name})
    azure_faults = azure.faults
    if azure_faults:
        raise SpecError(azure_faults, COMMAND_LINE)
    (item,) = azure.value["endpoints"]
    said = {name: item.pop(name) for name in _SPLIT if name in item}
    paths = _paths(asked.sets) - {*said, "name"}
    wanted: dict[ResourceId, SpecModel] = {}
    if said:
        wanted |= _split(site, endpoint.id, said)
    if paths:
        wanted[endpoint.id] = updated(_spec(site, endpoint), item, paths)
    if not wanted:
        fault = Fault("--set", "nothing is to be changed", "pass --traffic, or --set PATH=VALUE")
        raise SpecError((fault,), COMMAND_LINE)
    return part_of_specs(site, wanted)


def _paths(sets: list[list[str]]) -> set[str]:
    return {pair.partition("=")[0] for pairs in sets for pair in pairs}


def _split(
    site: Site, endpoint: ResourceId, said: Mapping[str, Any]
) -> dict[ResourceId, SpecModel]:
    try:
        spec = TrafficSpec.model_validate(traffic_item(site, endpoint, said))
    except ValidationError as exc:
        raise SpecError(faults_of(exc, TrafficSpec), COMMAND_LINE) from None
    site.refuse_others(endpoint)
    return {endpoint.model_copy(update={"kind": Kind.TRAFFIC}): spec}


def _spec(site: Site, there: ObservedResource) -> SpecModel:
    if there.record and holds_secret(there.record.properties):
        reason = "it has secrets, of which only digests are kept"
        remedy = "pass its file, or change it in its stack file"
        raise TargetError("update", str(there.id), reason, remedy)
    return site.held.specs[there.id]


def delete(site: Site) -> None:
    """Delete an endpoint with its deployments."""
    site.endpoint("--name")
    remove_part(site, _whole)


def _whole(site: Site) -> Collection[ResourceId]:
    endpoint = site.endpoint("--name").id
    deployments = [one.id for one in site.behind(endpoint)]
    split = site.traffic(endpoint)
    return [
        endpoint,
        *deployments,
        *([split.id] if split else []),
        *what_goes_with(site, deployments),
    ]


def what_goes_with(site: Site, deployments: Collection[ResourceId]) -> Iterator[ResourceId]:
    """Yield the rules of deployments, and inline assets that no other deployment names."""
    named = {
        (kind, Reference.parse(pinned).asset)
        for one in site.resources.values()
        if one.id.kind == Kind.DEPLOYMENT and one.id not in deployments
        for kind in (Kind.MODEL, Kind.ENVIRONMENT)
        if (pinned := one.properties.get(kind.value.lower()))
    }
    for id_ in deployments:
        rule = id_.model_copy(update={"kind": Kind.AUTOSCALE_RULE})
        if site.held.observed.get(rule).record:
            yield rule
        inline = f"{id_.name.replace('/', '-')}:1".lower()
        for kind in (Kind.MODEL, Kind.ENVIRONMENT):
            asset = id_.model_copy(update={"kind": kind, "name": inline})
            record = site.held.observed.get(asset).record
            mine = record is not None and record.owner == site.stack.name
            if mine and (kind, inline) not in named:
                yield asset
