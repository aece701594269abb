"""One resource's handlers, with plain values and no engine."""

import subprocess
import sys
from dataclasses import replace

import pytest
from pydantic import SecretStr
from tests.memory import with_environment, with_workspace

from inference_provider.errors import TargetError
from inference_provider.handlers import (
    ONLY_READ,
    UNKNOWN,
    Call,
    Entry,
    Handlers,
    Held,
    Inputs,
    Program,
)
from inference_provider.observed import Actor, Kind, ResourceId
from inference_provider.targets.memory import MemoryTarget

ECHO = "Endpoint/default/echo"
ENTRY = Entry(key="echo", name="echo", holder="stack 'dev'")
NOTHING = Inputs({})
ANN = Actor(user="ann", command="pulumi")


class Engine:
    """Calls the handlers of a kind as an engine does that keeps a state."""

    def __init__(self, target, kind=Kind.ENDPOINT, program=None):
        self.told: list[str] = []
        self.call = Call(ENTRY, ANN, lambda _id, said: self.told.append(said))
        self.handlers = Handlers(kind, program or Program(), lambda _place: target)

    def check(self, **fields):
        checked = self.handlers.check(ENTRY, Inputs(fields, owner="shop"), NOTHING)
        assert checked.faults == ()
        return checked.inputs


@pytest.fixture
def target():
    return with_workspace(MemoryTarget())


def readings(target) -> list[str]:
    entries = target.observe(["default"]).journal
    return [f"{one.id} {one.actor.user}" for one in entries if one.action == "read keys"]


def test_keys_that_a_state_gets_are_in_the_journal_and_those_that_it_has_are_not(target):
    engine = Engine(target)
    _, held = engine.handlers.create(engine.call, engine.check(name="echo"))
    held = engine.handlers.read(ENTRY, ECHO, held, ANN)
    assert readings(target) == []  # who made it got them, and is there as who made it
    engine.handlers.read(Entry(), ECHO, Held(NOTHING), Actor(user="bob"))  # `Endpoint.get`
    assert readings(target) == ["Endpoint 'default/echo' bob"]
    target.rotate_key(ResourceId.parse(ECHO), "primary", ANN)
    held = engine.handlers.read(ENTRY, ECHO, held, Actor(user="eve"))
    engine.handlers.read(ENTRY, ECHO, held, Actor(user="eve"))
    assert readings(target)[1:] == ["Endpoint 'default/echo' eve"]


def test_handlers_know_no_pulumi():
    code = "import sys, inference_provider.handlers; sys.exit('pulumi' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_life_of_a_resource(target):
    engine = Engine(target)
    inputs = engine.check(name="echo")
    assert inputs.fields["auth_mode"] == "key"

    id_, held = engine.handlers.create(engine.call, inputs)
    assert id_ == ECHO
    assert held.inputs == inputs
    assert sorted(held.outputs) == [
        "openapi_uri", "primary_key", "scoring_uri", "secondary_key",
    ]  # fmt: skip
    assert not engine.handlers.diff(id_, held, inputs).any
    changed = engine.check(name="echo", description="new")
    assert [str(c) for c in engine.handlers.diff(id_, held, changed).changes] == [
        "description: '' -> new (live)"
    ]
    updated = engine.handlers.update(engine.call, held, changed)
    assert updated.incarnation == held.incarnation
    assert engine.handlers.read(ENTRY, id_, updated, ANN) == updated
    engine.handlers.delete(engine.call, id_, updated)
    assert engine.handlers.read(ENTRY, id_, updated, ANN) is None
    assert engine.told == ["served", "served", "deleted"]


def test_a_difference_says_what_rolls_and_what_replaces(target):
    endpoint, engine = Engine(target), Engine(target, Kind.DEPLOYMENT)
    endpoint.handlers.create(endpoint.call, endpoint.check(name="echo"))
    pin = "plain:1@sha256:" + "0" * 64
    fields = {"endpoint": "echo", "name": "blue", "environment": pin}
    held = Held(engine.check(**fields, environment_variables={"A": "1"}))

    def differs(**more):
        wanted = engine.check(**{**fields, "environment_variables": {"A": "1"}, **more})
        found = engine.handlers.diff("Deployment/default/echo/blue", held, wanted)
        return found.rolls, found.replaces, found.delete_before_replace

    assert differs(instance_count=2) == ((), (), False)
    assert differs(environment_variables={"A": "2"}) == (("environment_variables",), (), False)
    assert differs(name="green") == ((), ("name",), False)


def test_what_a_read_finds_besides_the_fields_is_a_difference(target):
    engine = Engine(target)
    inputs = engine.check(name="echo")
    lame = replace(inputs, degraded="the router does not run")
    found = engine.handlers.diff(ECHO, Held(lame), inputs)
    assert (found.changes, found.besides, found.any) == ((), True, True)


def test_shares_changed_by_hand_are_a_difference_until_they_are_recorded():
    target = with_environment(with_workspace(MemoryTarget()), "a" * 64)
    endpoints, deployments = Engine(target), Engine(target, Kind.DEPLOYMENT)
    endpoints.handlers.create(endpoints.call, endpoints.check(name="echo"))
    for name in ("blue", "green"):
        fields = {"endpoint": "echo", "name": name, "environment": f"plain:1@sha256:{'a' * 64}"}
        deployments.handlers.create(deployments.call, deployments.check(**fields))
    traffic = Engine(target, Kind.TRAFFIC)
    wanted = traffic.check(endpoint="echo", traffic={"blue": 100, "green": 0})
    id_, held = traffic.handlers.create(traffic.call, wanted)
    router = target.memory.ports("default").router
    [echo] = router.endpoints
    router.endpoints = (echo.model_copy(update={"weights": {"blue": 60, "green": 40}}),)
    wanted = traffic.check(endpoint="echo", traffic={"blue": 60, "green": 40})
    held = traffic.handlers.read(ENTRY, id_, held, ANN)
    found = traffic.handlers.diff(id_, held, wanted)
    assert (found.changes, found.any) == ((), True)
    held = traffic.handlers.update(traffic.call, held, wanted)
    held = traffic.handlers.read(ENTRY, id_, held, ANN)
    assert traffic.handlers.diff(id_, held, wanted).any is False
    assert target.record(ResourceId.parse(id_)).properties["traffic"] == {"blue": 60, "green": 40}


def test_fields_that_a_preview_does_not_know_stay_unknown(target):
    written = Inputs({"name": "m", "path": UNKNOWN}, owner="shop")
    checked = Engine(target, Kind.MODEL).handlers.check(ENTRY, written, NOTHING)
    assert checked.faults == ()
    assert {n for n, v in checked.inputs.fields.items() if v is UNKNOWN} == {
        "path", "content_hash", "reference",
    }  # fmt: skip


def test_every_fault_is_returned_and_shows_no_placeholders_value(target):
    fields, secret = {"name": "x", "tok-4711": "red"}, SecretStr("tok-4711")
    written = Inputs(fields, owner="shop", placeholders=(secret,))
    checked = Engine(target).handlers.check(ENTRY, written, NOTHING)
    assert [fault.path for fault in checked.faults] == ["name", "[secret]"]
    assert "tok-4711" not in str(checked.faults)


def test_what_is_read_by_id_is_there_or_an_error(target):
    engine = Engine(target)
    engine.handlers.create(engine.call, engine.check(name="echo"))

    held = engine.handlers.read(Entry(), ECHO, Held(NOTHING), ANN)
    assert held is not None
    assert (held.incarnation, held.inputs.owner) == (ONLY_READ, "shop")
    with pytest.raises(TargetError, match="it is not there; check its id"):
        engine.handlers.read(Entry(), "Endpoint/default/other", Held(NOTHING), ANN)


class Watched(MemoryTarget):
    """A memory target that counts how often all of a workspace is observed."""

    observed = 0

    def observe(self, workspaces):
        self.observed += 1
        return super().observe(workspaces)


@pytest.mark.parametrize(("version", "observed"), [(f"1@sha256:{'a' * 64}", 0), ("1", 1)])
def test_a_deployment_whose_references_are_pinned_observes_nothing_else(version, observed):
    target = with_environment(with_workspace(Watched()), "a" * 64)
    endpoints = Engine(target)
    endpoints.handlers.create(endpoints.call, endpoints.check(name="echo"))
    deployments = Engine(target, Kind.DEPLOYMENT)
    fields = {"endpoint": "echo", "name": "blue", "environment": f"plain:{version}"}
    deployments.handlers.create(deployments.call, Inputs(fields, owner="shop"))
    assert target.observed == observed


def test_a_rule_of_a_program_decides_the_count_that_no_refresh_shows():
    target = with_environment(with_workspace(MemoryTarget()), "a" * 64)
    program = Program()
    endpoints, deployments = Engine(target), Engine(target, Kind.DEPLOYMENT, program)
    rules = Engine(target, Kind.AUTOSCALE_RULE, program)
    endpoints.handlers.create(endpoints.call, endpoints.check(name="echo"))
    pin = f"plain:1@sha256:{'a' * 64}"
    fields = {"endpoint": "echo", "name": "blue", "environment": pin}
    id_, blue = deployments.handlers.create(deployments.call, deployments.check(**fields))
    asked = {
        "endpoint": "echo",
        "deployment": "blue",
        "min_instances": 3.0,
        "max_instances": 5.0,
        "targets": [{"metric": "CpuUtilizationPercentage", "target": 70.0}],
        "scale_in": {"stabilization_s": 600.0},
    }
    rule_id, rule = rules.handlers.create(rules.call, rules.check(**asked))
    assert rules.told[-1] == "3 to 5 instances"
    assert rules.handlers.read(ENTRY, rule_id, rule, ANN) == rule
    assert deployments.handlers.read(ENTRY, id_, blue, ANN) == blue

    def running() -> int:
        return len(target.memory.ports("default").compute.instances()["echo/blue"])

    more = deployments.check(**fields, instance_count=2.0)
    deployments.handlers.update(deployments.call, blue, more)
    assert running() == 3
    destroying = Engine(target, Kind.AUTOSCALE_RULE)  # which runs no program
    rule_id, rule = rules.handlers.create(rules.call, rules.check(**asked))
    destroying.handlers.delete(destroying.call, rule_id, rule)
    assert running() == 3
    rule_id, rule = rules.handlers.create(rules.call, rules.check(**asked))
    rules.handlers.delete(rules.call, rule_id, rule)  # of a program that still has its deployment
    assert running() == 2
