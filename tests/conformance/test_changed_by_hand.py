"""Ten kinds of change that a person makes past the stack: each is told once, by whom and when."""

from datetime import UTC, datetime, timedelta

from inference_provider.desired import DesiredResource
from inference_provider.drift import drift
from inference_provider.observed import Kind
from inference_provider.spec import IdentitySpec, TrafficSpec
from tests.conformance.labs.lab import ANN, BOB

HUB = {"category": "ApiKey", "target": "https://hub.test", "credentials": {"key": "k"}}


def identity(lab, name) -> DesiredResource:
    spec = IdentitySpec(workspace=lab.workspace, name=name)
    return DesiredResource(id=lab.id(Kind.IDENTITY, name), spec=spec, owner="demo")


def split(lab, **fields) -> DesiredResource:
    place = {"workspace": lab.workspace, "endpoint": "iris"}
    spec = TrafficSpec.model_validate({**place, "traffic": {"blue": 100}, **fields})
    return DesiredResource(id=lab.id(Kind.TRAFFIC, "iris"), spec=spec, owner="demo")


def declared(lab) -> list[DesiredResource]:
    hub, other = lab.connection(**HUB), lab.connection("other", **HUB)
    return [
        *lab.desired[:-1],
        lab.deployment("green"),
        split(lab),
        *(hub, other, identity(lab, "spare")),
    ]


def change(lab) -> None:
    """Do as somebody does who does not know of the stack."""
    moved = {**HUB, "target": "https://moved.test"}
    for one in (
        lab.space(tags={"team": "ml"}),
        lab.endpoint(description="mine"),
        lab.deployment(environment_variables={"LEVEL": "debug"}),
        lab.deployment("green", instance_count=2),
        split(lab, mirror_traffic={"green": 10}),
        lab.connection(**moved),
        lab.connection("other", **{**HUB, "credentials": {"key": "another"}}),
        lab.endpoint("rose"),
        identity(lab, "ghost"),
    ):
        lab.target.apply(one, BOB)
    lab.target.delete(lab.id(Kind.IDENTITY, "spare"), "demo", BOB)


def findings(lab) -> list:
    """Return each finding of a review, with the resource and the field that it is about."""
    report = drift(declared(lab), lab.target.observe([lab.workspace]), "demo")
    return [
        (one, field)
        for one in report.resources
        if one.verdict != "clean"
        for field in one.fields or [None]
    ]


def test_each_is_told_once_by_whom_and_when_and_an_up_ends_all(lab):
    lab.apply(*declared(lab))
    assert findings(lab) == []
    began = datetime.now(UTC)
    change(lab)

    found = findings(lab)
    told = sorted(
        (str(one.verdict), one.id.kind.value, one.id.name, field.path if field else "")
        for one, field in found
    )
    assert told == [
        ("drifted", "Connection", "hub", "target"),
        ("drifted", "Connection", "other", "credentials.key"),
        ("drifted", "Deployment", "iris/blue", "environment_variables.LEVEL"),
        ("drifted", "Deployment", "iris/green", "instance_count"),
        ("drifted", "Endpoint", "iris", "description"),
        ("drifted", "Traffic", "iris", "mirror_traffic.green"),
        ("drifted", "Workspace", lab.workspace, "tags.team"),
        ("missing", "Identity", "spare", ""),
        ("unmanaged", "Endpoint", "rose", ""),
        ("unmanaged", "Identity", "ghost", ""),
    ]
    by = [field or one for one, field in found]
    assert {one.actor for one in by} == {"bob in build/7 (pytest)"}
    assert all(began - timedelta(minutes=1) < one.time < datetime.now(UTC) for one in by)
    assert "another" not in repr(found)

    lab.apply(*declared(lab))
    for name in (lab.id(Kind.ENDPOINT, "rose"), lab.id(Kind.IDENTITY, "ghost")):
        lab.target.delete(name, "demo", ANN)
    assert findings(lab) == []
