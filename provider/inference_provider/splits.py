"""A split that somebody asks for by hand: shares -> what Traffic then says. Pure."""

from collections.abc import Mapping

from pydantic import ValidationError

from inference_provider.errors import SpecError
from inference_provider.files.wording import faults_of
from inference_provider.observed import ObservedResource
from inference_provider.spec import TrafficSpec


def split_spec(traffic: ObservedResource, shares: Mapping[str, int]) -> TrafficSpec:
    """Return a split that keeps the mirror and the rollout. Raises SpecError for bad shares."""
    document = {
        "workspace": traffic.id.workspace,
        "endpoint": traffic.id.name,
        "traffic": shares,
        "mirror_traffic": traffic.properties.get("mirror_traffic", {}),
        "rollout": traffic.properties.get("rollout"),
    }
    try:
        return TrafficSpec.model_validate(document)
    except ValidationError as exc:
        raise SpecError(faults_of(exc, TrafficSpec), "the split") from None
