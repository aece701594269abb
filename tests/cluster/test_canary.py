"""Splits that the service of a workspace moves in a real cluster, with real requests."""

import time
from functools import partial

import pytest

from inference_provider.drift import drift
from inference_provider.errors import RolloutFailed
from inference_provider.observed import Kind
from inference_provider.rollout_end import await_rollouts
from inference_provider.spec import TrafficSpec
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.objects import DEPLOYMENT, POD, name_of, selector
from tests.cluster.failing import FailingLab
from tests.cluster.loaded import MANY, loaded
from tests.conformance.labs import ANN, wait_until
from tests.docker.load import Load

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(280)]

LIMIT_S = 120.0


class Lab(FailingLab):
    def split(self, *, bake_s: float, wait_minutes: float | None = None, green: int):
        """Return a split that is reached by 20 % and 60 % of the way."""
        steps = [{"share": share, "bake_minutes": bake_s / 60} for share in (20, 60)]
        alarms = [{"metric": "ErrorRate", "above": 5, "window_s": 10}]
        plan = {"steps": steps, "alarms": alarms, "wait_minutes": wait_minutes}
        text = {"workspace": self.workspace, "endpoint": "iris", "traffic": {"green": green}}
        spec = TrafficSpec.model_validate({**text, "rollout": plan})
        return self.rollout(green=green).model_copy(update={"spec": spec})

    @property
    def shares(self) -> dict[str, int]:
        found = (self.router.status().weights or {}).get("iris", {})
        return {name: share for name, share in found.items() if share}

    @property
    def moves(self) -> list[str]:
        """Return what was done to the split by itself."""
        return [one.action for one in self.target.journal(self.workspace) if one.why]

    @property
    def said(self) -> str:
        return self.target.observe_one(self.space().id).status

    def drifted(self, *desired) -> dict[str, str]:
        blue = self.deployment("blue", request_settings=MANY)
        known = {one.id: one for one in (*self.desired, blue, *desired)}
        there = self.target.observe([self.workspace])
        found = drift([*known.values()], there, "demo").resources
        return {str(one.id): one.reason for one in found if one.verdict != "clean"}


@pytest.fixture(scope="module")
def served():
    """A workspace of two deployments, shared by the tests of this module."""
    with loaded("canary", "green", kind=Lab) as lab:
        yield lab


@pytest.fixture(autouse=True)
def begun(served):
    served.apply(served.traffic(blue=100))
    assert served.platform.client.get(DEPLOYMENT, served.workspace, names.SERVICE_NAME) is None


def replaced(lab: Lab, pod: str) -> bool:
    """Whether another pod of the service is ready."""
    return lab.service() not in ([], [pod])


def green(lab, **variables: str):
    return lab.deployment("green", request_settings=MANY, environment_variables=variables)


def test_a_bad_version_goes_back_and_few_requests_fail_meanwhile(served):
    served.apply(green(served, BAD="1"))
    wanted = served.split(green=100, bake_s=60, wait_minutes=5)
    with Load(served, 1_000, limit_s=200) as load:
        served.apply(wanted)
        assert served.shares == {"blue": 80, "green": 20}
        with pytest.raises(RolloutFailed, match="the rollout went back: 'iris/green': ErrorRate"):
            await_rollouts([wanted], served.target, lambda *_told: None)
        assert served.shares == {"blue": 100}
        failed = load.answers[424]
        time.sleep(2)
        assert load.answers[424] - failed < 16  # in flight then
    assert {*load.answers} == {200, 424}
    assert load.answers[424] < 0.3 * load.answers.total()
    assert served.moves[-1] == "roll back"
    [reason] = served.drifted(wanted, green(served, BAD="1")).values()
    assert reason.startswith("the rollout went back: 'iris/green': ErrorRate 100 % above 5 %, of ")


def test_a_good_version_goes_through_though_its_pod_is_deleted_in_between(served, api):
    served.apply(green(served, GOOD="1"))
    before = len(served.moves)
    wanted, client = served.split(green=100, bake_s=8), served.platform.client
    with Load(served, 1_000, limit_s=200) as load:
        served.apply(wanted)
        assert served.drifted(wanted, green(served, GOOD="1")) == {}
        for is_killed in (False, True):
            wait_until(served.service, 60)
            [pod] = served.service()
            if is_killed:
                api.delete(f"/api/v1/namespaces/{served.workspace}/pods/{pod}")
            else:
                client.delete(POD, served.workspace, pod)
            wait_until(partial(replaced, served, pod), 60)
            assert served.shares["green"] in {20, 60}
        wait_until(lambda: served.shares == {"green": 100}, LIMIT_S)
        [pod] = served.service()
        assert [*client.logs(served.workspace, pod)] == []  # it may do all that it has to
        wait_until(lambda: served.target.shifts(served.workspace) == (), 20)
    assert {*load.answers} == {200}
    assert served.moves[before:] == ["step on", "finish the rollout of"]
    assert "workspace service runs" in served.said
    assert served.drifted(wanted, green(served, GOOD="1")) == {}


def test_router_pods_that_come_and_go_neither_stop_a_rollout_nor_throw_it_back(served):
    served.apply(green(served, GOOD="2"))
    before, client = len(served.moves), served.platform.client
    chosen = selector(names.selecting(served.workspace, names.ROUTER))
    with Load(served, 1_000, limit_s=200) as load:
        served.apply(served.split(green=100, bake_s=10))
        wait_until(served.service, 60)
        for pod in client.items(POD, served.workspace, chosen):
            client.delete(POD, served.workspace, name_of(pod))
            time.sleep(12)
        wait_until(lambda: served.shares == {"green": 100}, LIMIT_S)
        wait_until(lambda: served.target.shifts(served.workspace) == (), 20)
    assert {*load.answers} == {200}
    assert served.moves[before:] == ["step on", "finish the rollout of"]


def test_without_its_service_a_split_stays_where_it_is_and_up_goes_on(served):
    served.apply(green(served, GOOD="3"))
    wanted, client = served.split(green=100, bake_s=300), served.platform.client
    served.apply(wanted)
    client.delete(DEPLOYMENT, served.workspace, names.SERVICE_NAME)
    wait_until(lambda: "the workspace service does not run: splits stay" in served.said, 60)
    found = served.drifted(wanted, green(served, GOOD="3"))
    assert "Deployment inference-service is gone" in found[str(served.space().id)]
    assert served.shares == {"blue": 80, "green": 20}
    served.apply(served.space())
    wait_until(served.service, 60)
    assert served.drifted(wanted, green(served, GOOD="3")) == {}
    there = served.target.observe_one(served.id(Kind.TRAFFIC, "iris"))
    assert there.under_way.startswith("rollout step 1 of 3 (20 %)")


def test_a_stop_and_a_start_in_the_middle_go_on_with_it(served):
    served.apply(green(served, GOOD="4"))
    served.apply(served.split(green=100, bake_s=300))
    served.target.stop(served.workspace, ANN)
    assert served.service() == []
    served.target.start(served.workspace, ANN)
    wait_until(served.service, 60)
    assert served.shares == {"blue": 80, "green": 20}


def test_nothing_of_it_is_left_without_a_rollout(served):
    served.apply(served.split(green=100, bake_s=300))
    served.apply(served.traffic(blue=100))
    chosen = selector(names.selecting(served.workspace, names.SERVICE))
    wait_until(lambda: not served.platform.client.items(POD, served.workspace, chosen), 40)
    found = served.target.observe([served.workspace]).resources.values()
    assert {one.id.kind: one.degraded for one in found if one.degraded} == {}
