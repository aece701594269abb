"""Instances that run already and new ones: how long each is waited for, and what is told."""

import time

from inference_provider.desired import identify
from inference_provider.observed import Kind
from inference_provider.spec import DeploymentSpec, EnvironmentSpec
from inference_provider.spec.deployment import Probe
from inference_provider.targets.starting import ensure
from inference_provider.workspace.ports import Unit, side_by_side
from inference_provider.workspace.statuses import InstanceStatus

SPEC = DeploymentSpec(
    workspace="lab",
    endpoint="iris",
    name="blue",
    environment="env:1",
    start_timeout_s=1,
    readiness_probe=Probe(initial_delay=0),
)
UNIT = Unit(identify(Kind.DEPLOYMENT, SPEC), "g1", SPEC, EnvironmentSpec(name="env"))


class Asked:
    """An instance that answers after so many seconds; notes in `asked` each time it is asked."""

    def __init__(self, name, after_s, asked):
        self._name, self._asked = name, asked
        self._from_s = time.monotonic() + after_s

    def answers(self, limit_s):
        self._asked.append(self._name)
        time.sleep(min(0.05, limit_s))
        return time.monotonic() >= self._from_s

    def ended(self):
        return ""


class Instances:
    """Some that run, each of which answers after some seconds; new ones answer at once."""

    def __init__(self, **after_s):
        self._after_s = after_s
        self.asked = []

    def found(self, _deployment):
        return [InstanceStatus(name=name, generation="g1", runs=True) for name in self._after_s]

    def begin(self, _unit, count, _kept, _progress, begun):
        begun += [f"new{number}" for number in range(count)]

    def awaited(self, _unit, name):
        return Asked(name, self._after_s.get(name, 0.0), self.asked)

    def last_lines(self, _unit, _name):
        return "its last lines", ""

    def retire(self, _deployment, _names, _stop_wait_s):
        raise AssertionError("nothing failed")


def ensured(instances):
    told = []
    found = ensure(instances, UNIT, 2, lambda _id, text: told.append(text), side_by_side)
    return found, told


def test_one_that_loads_is_waited_for_and_told():
    assert ensured(Instances(a=0.0, b=0.3)) == (
        ("a", "b"),
        ["waiting for instance b, which runs and does not answer yet"],
    )


def test_those_that_hang_are_waited_for_together_and_replaced():
    hang = Instances(a=99.0, b=99.0)
    found, told = ensured(hang)
    assert found == ("new0", "new1")
    assert told == [
        "waiting for instance a, which runs and does not answer yet",
        "1 of 2 new instances ready",
        "2 of 2 new instances ready",
    ]
    assert hang.asked.count("b") == 1  # the limit is over by then, for both
