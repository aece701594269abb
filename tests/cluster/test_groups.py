"""Instances on several nodes in a real cluster, made by the controller of LeaderWorkerSet."""

import json
import os
import re
import time
from pathlib import Path

import pytest

from inference_provider.desired import DesiredResource
from inference_provider.drift import drift
from inference_provider.errors import NotReady
from inference_provider.observed import Kind
from inference_provider.plan import plan
from inference_provider.spec.deployment import RequestSettings
from inference_provider.targets.kubernetes.names import INSTANCE, selecting
from inference_provider.targets.kubernetes.objects import (
    AUTOSCALER,
    LEADER_WORKER_SET,
    POD,
    SERVICE,
    name_of,
    selector,
)
from inference_provider.targets.kubernetes.pods import is_ending
from inference_provider.workspace.logged import LogQuery
from tests.cluster.api import condition
from tests.cluster.edited import EDITOR
from tests.cluster.loaded import MANY
from tests.cluster.test_rights import Deployer
from tests.conformance.labs import KubernetesLab, wait_until
from tests.docker.load import Load

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]

MADE = ("/apis/apps/v1", "statefulsets"), ("/apis/apps/v1", "controllerrevisions")
"""What the controller makes of them, beside pods and Services."""


def _spread(deployment: DesiredResource) -> DesiredResource:
    fields = {"nodes_per_instance": 2, "request_settings": RequestSettings(**MANY)}
    return deployment.model_copy(update={"spec": deployment.spec.model_copy(update=fields)})


class GroupLab(KubernetesLab):
    """A workspace whose deployment has two pods an instance, which have to find each other."""

    server = Path(__file__).with_name("serve_group.py")

    def _stack(self):
        return tuple(
            _spread(one) if one.id.kind == Kind.DEPLOYMENT else one for one in super()._stack()
        )

    def pods(self) -> list[str]:
        chosen = selector(selecting(self.workspace, INSTANCE))
        found = self.platform.client.items(POD, self.workspace, chosen)
        return sorted(name_of(one) for one in found if not is_ending(one))

    def group_sets(self) -> list[str]:
        return [name_of(o) for o in self.platform.client.items(LEADER_WORKER_SET, self.workspace)]

    def reasons(self) -> dict[str, str]:
        found = drift(self.desired, self.target.observe([self.workspace]), "demo").resources
        return {str(one.id.kind): one.reason for one in found if one.verdict != "clean"}

    def mend(self) -> None:
        """Do what `inferctl up` would."""
        planned = plan(self.desired, self.target.observe([self.workspace]), "demo")
        self.apply(*[action.desired for action in planned.pending if action.desired])


@pytest.fixture(scope="module")
def lab(lws, tmp_path_factory):
    del lws
    folder = tmp_path_factory.mktemp("groups")
    made = GroupLab(GroupLab.open(folder), folder, f"groups{os.getpid()}")
    try:
        made.up()
        yield made
    finally:
        made.close()
        made.platform.close()


def test_an_instance_answers_once_its_worker_has_reached_its_leader(lab):
    [name] = lab.group_sets()
    assert lab.pods() == [f"{name}-0", f"{name}-0-1"]
    assert lab.ask() == 200
    [instance] = lab.ports.compute.instances("iris/blue")["iris/blue"]
    assert (len(instance.backends), instance.stands_for) == (1, 1)
    assert list(lab.instances()) == [f"{name}-0"]
    reached = (f"{name}-0-1", f"reached {name}-0.{name}-0.{lab.workspace}")
    blue = lab.id(Kind.DEPLOYMENT, "iris/blue")
    wait_until(
        lambda: any(
            one.instance == reached[0] and reached[1] in one.text
            for one in lab.ports.compute.logs(blue, LogQuery(lines=20))
        ),
        30,
    )
    assert lab.reasons() == {}


def test_a_group_that_lost_a_pod_is_made_again_and_says_so_as_a_restart(lab):
    [name] = lab.group_sets()
    lab.platform.client.delete(POD, lab.workspace, f"{name}-0-1")
    blue = lab.id(Kind.DEPLOYMENT, "iris/blue")

    def restarts() -> list[int]:
        return [one.since_start for one in lab.target.observe_one(blue).restarts.values()]

    wait_until(lambda: restarts() == [1], 90)
    wait_until(lambda: lab.ask() == 200, 90)
    wait_until(lambda: lab.pods() == [f"{name}-0", f"{name}-0-1"] and lab.reasons() == {}, 90)


def test_a_new_generation_and_another_deployment_fail_no_request(lab):
    with Load(lab, 2_000, limit_s=250) as load:
        lab.apply(lab.deployment(environment_variables={"ANSWER": "2"}, instance_count=2))
        lab.apply(lab.deployment("green"), lab.traffic(blue=0, green=100))
        time.sleep(1)
        lab.apply(*lab.desired)
        lab.delete(lab.id(Kind.DEPLOYMENT, "iris/green"))
    assert load.failed == {}
    assert load.answers.total() >= 2_000
    [name] = lab.group_sets()
    wait_until(lambda: lab.pods() == [f"{name}-0", f"{name}-0-1"], 60)
    assert lab.reasons() == {}


def changed(lab, api, change: dict, part: str = "") -> None:
    """Change the set as a person does."""
    [name] = lab.group_sets()
    answer = api.http.patch(
        LEADER_WORKER_SET.path(lab.workspace, name) + part,
        params={"fieldManager": "kubectl" if part else "kubectl-edit"},
        headers={"content-type": "application/merge-patch+json"},
        content=json.dumps(change),
    )
    assert answer.is_success, answer.text


def test_what_people_change_is_told_with_who_did_it_and_mended(lab, api):
    [name] = lab.group_sets()
    changed(lab, api, {"spec": {"replicas": 2}}, "/scale")
    assert re.search(
        f"LeaderWorkerSet {name}: spec.replicas set by kubectl", lab.reasons()["Deployment"]
    )
    changed(lab, api, {"spec": {"leaderWorkerTemplate": {"size": 3}}})
    assert re.search(f"spec.leaderWorkerTemplate.size set by {EDITOR}", lab.reasons()["Deployment"])
    lab.mend()
    wait_until(lambda: lab.pods() == [f"{name}-0", f"{name}-0-1"], 90)
    wait_until(lambda: lab.reasons() == {}, 60)


def test_a_set_that_is_deleted_is_told_and_made_again(lab):
    [name] = lab.group_sets()
    lab.platform.client.delete(LEADER_WORKER_SET, lab.workspace, name)
    assert f"LeaderWorkerSet {name} is gone" in lab.reasons()["Deployment"]
    wait_until(lambda: not lab.pods(), 60)
    lab.mend()
    assert lab.ask() == 200
    assert lab.reasons() == {}


def test_a_worker_that_fails_is_named_with_its_log_and_the_old_generation_serves(lab):
    [name] = lab.group_sets()
    with Load(lab, 100, limit_s=100) as load, pytest.raises(NotReady) as failed:
        lab.apply(lab.deployment(environment_variables={"FAIL_WORKER": "1"}))
    assert re.fullmatch(
        r"pod iris-blue-[0-9a-f]{12}-0-1: UserScriptInitFailed: container server ended with"
        " status 1",
        failed.value.reason,
    )
    assert "    told to fail" in failed.value.remedy
    assert load.failed == {}
    assert lab.group_sets() == [name]


def test_a_rule_scales_groups_by_what_their_leaders_use(lab, api, metrics):
    del metrics
    asked = {"resources": {"requests": {"cpu": "50m"}}}
    lab.apply(lab.deployment(**asked), lab.rule(min_instances=2, max_instances=3))
    [name] = lab.group_sets()
    pods = [f"{name}-{n}{worker}" for n in (0, 1) for worker in ("", "-1")]
    wait_until(lambda: lab.pods() == pods, 90)
    api.until(
        AUTOSCALER.path(lab.workspace, name), lambda seen: condition(seen, "ScalingActive"), 120
    )
    lab.delete(lab.id(Kind.AUTOSCALE_RULE, "iris/blue"))
    lab.mend()
    assert lab.reasons() == {}


def test_a_worker_does_not_reach_the_leader_of_another_deployment(lab):
    [name] = lab.group_sets()
    reach = {"REACH": f"{name}-0.{name}-0.{lab.workspace}"}
    with pytest.raises(NotReady) as failed:
        lab.apply(lab.deployment("green", environment_variables=reach, start_timeout_s=10))
    assert re.fullmatch(
        "pod iris-green-[0-9a-f]{12}-0: GET / did not answer 200 to 399 within 10 s",
        failed.value.reason,
    )


def test_who_lacks_a_right_to_sets_is_refused_when_planning(
    lws, api, namespace, tmp_path, monkeypatch
):
    del lws
    deployer = Deployer(api, namespace, tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(deployer.kubeconfig))
    made = deployer.lab()
    try:
        spec = made.deployment(nodes_per_instance=2).spec
        assert list(made.target.capabilities.deployment_faults(spec, None, None)) == []
        deployer.without("leaderworkersets", "create")
        other = deployer.lab()
        [fault] = other.target.capabilities.deployment_faults(spec, None, None)
        assert str(fault).startswith("nodes_per_instance: you may not create leaderworkersets.")
        other.platform.close()
    finally:
        made.platform.close()


def test_nothing_is_left_of_a_deployment_that_is_deleted(lab, api):
    lab.apply(lab.traffic(blue=0))
    lab.delete(lab.id(Kind.DEPLOYMENT, "iris/blue"))

    def left() -> list[str]:
        found = [*lab.pods(), *lab.group_sets()]
        for group, plural in MADE:
            at = f"{group}/namespaces/{lab.workspace}/{plural}"
            found += [name_of(one) for one in api.items(at)]
        services = lab.platform.client.items(SERVICE, lab.workspace)
        return [*found, *(name_of(o) for o in services if name_of(o).startswith("iris-"))]

    wait_until(lambda: not left(), 60)
