"""Which workspaces of a cluster a stack is looked for in, and how many requests that takes."""

import pytest
from tests.cluster_api import ClusterApi, client_of, failure
from tests.memory import ANN, record

from inference_provider.errors import TargetError
from inference_provider.observed import Kind, ResourceId
from inference_provider.spec import EndpointSpec, WorkspaceSpec
from inference_provider.spec.target import place_from
from inference_provider.stack import Pipeline, StackName
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.records import ClusterRecords
from inference_provider.targets.kubernetes.target import KubernetesTarget
from inference_provider.workspace.state import State

SHOP = StackName("shop", ("new",), "kubernetes")
SECRETS = "/api/v1/secrets"
FORBIDDEN = 'secrets is forbidden: User "ann" cannot list resource "secrets" in API group ""'


def made(api: ClusterApi, workspace: str, owner: str) -> ClusterRecords:
    """Make a workspace in a namespace of its own, with its record alone."""
    labels = names.labels(workspace, names.RECORD)
    about = {"name": workspace, "labels": labels}
    api.put(f"/api/v1/namespaces/{workspace}", {"kind": "Namespace", "metadata": about})
    records = ClusterRecords(client_of(api), workspace, workspace)
    records.make()
    kept(records, Kind.WORKSPACE, WorkspaceSpec(name=workspace), owner)
    return records


def kept(records: ClusterRecords, kind: Kind, spec, owner: str) -> None:
    State(records).put_record(record(kind, spec).model_copy(update={"owner": owner}))


def target_on(api: ClusterApi, place="kubernetes") -> KubernetesTarget:
    """Return a target that knows nothing yet, as that of a command that begins."""
    target = KubernetesTarget(place)
    target.kubernetes.__dict__["client"] = client_of(api)
    return target


def found(api: ClusterApi) -> tuple[str, ...]:
    return Pipeline(target_on(api), ANN).workspaces(SHOP)


@pytest.fixture
def api():
    """A cluster with a workspace that stack 'shop' has made and no longer declares."""
    cluster = ClusterApi()
    made(cluster, "old", "shop")
    made(cluster, "foreign", "other")
    return cluster


def test_a_workspace_that_the_stack_no_longer_declares_is_found_and_no_other_is(api):
    assert found(api) == ("new", "old")


def test_workspaces_of_other_stacks_cost_one_request_together(api):
    for n in range(5):
        made(api, f"other-{n}", f"other-{n}")
    api.requests.clear()
    assert found(api) == ("new", "old")
    assert api.requests == ["GET /api/v1/namespaces", f"GET {SECRETS}"]


def test_what_a_stack_has_in_a_workspace_of_another_is_found(api):
    records = made(api, "theirs", "other")
    kept(records, Kind.ENDPOINT, EndpointSpec(workspace="theirs", name="iris"), "shop")
    assert found(api) == ("new", "old", "theirs")
    State(records).drop_record(ResourceId(kind=Kind.ENDPOINT, workspace="theirs", name="iris"))
    assert found(api) == ("new", "old")


def test_a_workspace_that_another_stack_has_now_is_not_found(api):
    target_on(api).transfer(ResourceId(kind=Kind.WORKSPACE, workspace="old", name="old"), "x", ANN)
    assert found(api) == ("new",)


def test_where_a_user_may_not_list_secrets_of_all_namespaces_each_is_read(api):
    api.refuse = lambda asked: failure(403, FORBIDDEN) if asked.url.path == SECRETS else None
    assert found(api) == ("new", "old")


def test_a_workspace_that_an_older_release_wrote_is_read(api):
    revision = api.objects["/api/v1/namespaces/old/secrets/inference.revision"]
    revision["metadata"]["annotations"].clear()
    assert found(api) == ("new", "old")


def test_after_an_edit_that_was_taken_back_a_workspace_is_read(api):
    records = ClusterRecords(client_of(api), "old", "old")

    def failing() -> None:
        with records.edit():
            kept(records, Kind.ENDPOINT, EndpointSpec(workspace="old", name="iris"), "other")
            records.commit()
            raise TargetError("publish", "it", "the router refuses")

    with pytest.raises(TargetError, match="the router refuses"):
        failing()
    assert found(api) == ("new", "old")
    assert target_on(api).kubernetes.owners_noted() == {"foreign": {"other"}}


def test_in_a_namespace_that_is_named_no_other_is_asked(api):
    target = target_on(api, place_from({"kind": "kubernetes", "namespace": "old"}))
    api.requests.clear()
    assert Pipeline(target, ANN).workspaces(SHOP) == ("new", "old")
    assert [one for one in api.requests if "/namespaces/old/" not in one] == []
