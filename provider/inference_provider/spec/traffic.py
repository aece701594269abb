"""Traffic: the split and the mirror of one endpoint."""

from typing import Annotated

from pydantic import field_validator, model_validator

from inference_provider.spec.base import (
    CAPACITY,
    REPLACES,
    SHARES,
    Kind,
    Percent,
    ResourceName,
    SpecModel,
)
from inference_provider.spec.names import names, names_shares
from inference_provider.spec.rollout_plan import RolloutPlan

_DEPLOYMENTS = names_shares(
    Kind.DEPLOYMENT, behind="endpoint", remedy="declare the deployment, or remove its weight"
)

MIRROR_LIMIT_PERCENT = 50
"""Azure ML's limit of mirrored requests."""


class TrafficSpec(SpecModel):
    """Which deployment answers which share of an endpoint's requests."""

    workspace: Annotated[ResourceName, REPLACES] = "default"
    endpoint: Annotated[ResourceName, REPLACES, names(Kind.ENDPOINT)]
    traffic: Annotated[dict[ResourceName, Percent], CAPACITY, SHARES, _DEPLOYMENTS] = {}
    """Share of requests per deployment, in percent; sums to 100, or to 0 to serve nobody."""
    mirror_traffic: Annotated[dict[ResourceName, Percent], CAPACITY, SHARES, _DEPLOYMENTS] = {}
    """One deployment that gets a copy of up to 50 % of the requests; its answers are dropped."""
    rollout: Annotated[RolloutPlan | None, CAPACITY] = None
    """How a change of `traffic` is made: step by step; at once when left out."""

    @field_validator("traffic")
    @classmethod
    def _sums_to_100_or_0(cls, traffic: dict[str, int]) -> dict[str, int]:
        if sum(traffic.values()) not in (0, 100):
            raise ValueError(f"the shares sum to {sum(traffic.values())}; make them 100, or 0")
        return traffic

    @field_validator("mirror_traffic")
    @classmethod
    def _mirrors_to_one_and_at_most_half(cls, mirror: dict[str, int]) -> dict[str, int]:
        mirrored = [name for name, share in mirror.items() if share]
        if len(mirrored) > 1:
            raise ValueError(f"mirrors to {len(mirrored)} deployments; name one")
        if any(share > MIRROR_LIMIT_PERCENT for share in mirror.values()):
            raise ValueError(f"mirrors more than {MIRROR_LIMIT_PERCENT} %; lower it")
        return mirror

    @model_validator(mode="after")
    def _live_or_mirror_not_both(self) -> "TrafficSpec":
        mirrored = (name for name, share in self.mirror_traffic.items() if share)
        both = sorted(name for name in mirrored if self.traffic.get(name, 0) > 0)
        if both:
            raise ValueError(
                f"'{both[0]}' has both live and mirrored traffic; remove one of them (the mirror is"
                " in mirror_traffic)"
            )
        return self
