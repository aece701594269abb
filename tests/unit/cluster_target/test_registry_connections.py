"""Connections to registries as Secrets of a cluster, by which instances pull their images."""

import base64
import json

import httpx
import pytest
from tests.unit.cluster_target.stack import ANN, desired, pod_specs

from inference_provider.desired import DesiredResource
from inference_provider.errors import OwnedByAnother, TargetError
from inference_provider.observed import Kind, Presence, ResourceId
from inference_provider.spec import ConnectionSpec

SECRET = "/api/v1/namespaces/lab/secrets/registry-hub"
FIRST, SECOND = "first-hidden-word-4711", "second-hidden-word-4712"


def hub(password=FIRST, *, name="hub", target="hub.example.org", **fields):
    given = {"credentials": {"username": "ci", "password": password}}
    asked = {"name": name, "category": "ContainerRegistry", "target": target, **given, **fields}
    id_ = ResourceId(kind=Kind.CONNECTION, workspace="demo", name=name)
    spec = ConnectionSpec(workspace="demo", **asked)
    return DesiredResource(id=id_, spec=spec, owner="shop")


def apply(engine, *wanted):
    for each in wanted:
        engine.apply(each, ANN)


def of_image(image: str, **workspace):
    """Return a stack whose deployment runs an image, apart from its workspace."""
    there = desired(**workspace)
    own = there[Kind.ENVIRONMENT]
    spec = own.spec.model_copy(update={"image": image})
    there[Kind.ENVIRONMENT] = own.model_copy(update={"spec": spec})
    return there


def up(engine, image: str, *connections, **workspace):
    space, *others = of_image(image, **workspace).values()
    apply(engine, space, *connections, *others)


def pulls(api) -> dict[str, list[str]]:
    """Return the Secrets by which each Deployment's pods pull, by the first word of its name."""
    return {
        name.split("-")[1]: [secret["name"] for secret in pod.get("imagePullSecrets", [])]
        for name, pod in pod_specs(api).items()
    }


def auths(api, path=SECRET) -> dict:
    return json.loads(base64.b64decode(api.objects[path]["data"][".dockerconfigjson"]))["auths"]


def seen(engine, one):
    return engine.observe_one(one.id)


def test_a_connection_to_a_registry_is_a_secret_by_which_kubernetes_pulls(api, engine):
    apply(engine, desired()[Kind.WORKSPACE], hub())
    secret = api.objects[SECRET]
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    assert secret["metadata"]["labels"]["pulumi-inference/role"] == "registry"
    told = base64.b64encode(f"ci:{FIRST}".encode()).decode()
    assert auths(api) == {"hub.example.org": {"username": "ci", "password": FIRST, "auth": told}}


@pytest.mark.parametrize("target", ["docker.io", "https://index.docker.io/v1/"])
def test_dockers_own_registry_is_called_as_kubernetes_does(api, engine, target):
    apply(engine, desired()[Kind.WORKSPACE], hub(target=target))
    assert [*auths(api)] == ["https://index.docker.io/v1/"]


def test_another_password_or_registry_changes_the_secret_and_a_removal_removes_it(api, engine):
    apply(engine, desired()[Kind.WORKSPACE], hub())
    apply(engine, hub(SECOND))
    assert auths(api)["hub.example.org"]["password"] == SECOND
    apply(engine, hub(SECOND, target="other.example.org"))
    assert [*auths(api)] == ["other.example.org"]
    engine.delete(hub().id, "shop", ANN)
    assert SECRET not in api.objects


def test_pods_of_instances_name_the_secrets_of_the_registries_of_their_images(api, engine):
    other = hub(name="other", target="other.example.org")
    up(engine, "hub.example.org/team/server:1", hub(), other)
    assert pulls(api) == {"blue": ["registry-hub"], "content": [], "router": []}


def test_an_image_without_a_registry_is_of_dockers_own(api, engine):
    up(engine, "server:1", hub(), hub(name="docker", target="docker.io"))
    assert pulls(api)["blue"] == ["registry-docker"]


def test_the_secrets_of_connections_come_beside_those_that_the_workspace_names(api, engine):
    about = {"name": "mirror", "namespace": "lab", "resourceVersion": "1"}
    theirs = {"apiVersion": "v1", "kind": "Secret", "metadata": about}
    kind = "kubernetes.io/dockerconfigjson"
    api.objects[SECRET.replace("registry-hub", "mirror")] = {**theirs, "type": kind}
    named = {"image_pull_secrets": ["mirror"]}
    up(engine, "hub.example.org/team/server:1", hub(), cluster=named)
    mirror = ["mirror"]
    blue = [*mirror, "registry-hub"]
    assert pulls(api) == {"blue": blue, "content": mirror, "router": mirror}


def test_another_password_starts_no_pod(api, engine):
    up(engine, "hub.example.org/team/server:1", hub())
    before = pod_specs(api)
    apply(engine, hub(SECOND))
    assert pod_specs(api) == before


def test_a_secret_that_was_deleted_is_drift_and_there_again_with_the_next_apply(api, engine):
    apply(engine, desired()[Kind.WORKSPACE], hub())
    del api.objects[SECRET]
    assert seen(engine, hub()).degraded == "Secret registry-hub is gone"
    apply(engine, hub())
    assert auths(api)["hub.example.org"]["password"] == FIRST
    assert seen(engine, hub()).degraded == ""


def test_a_secret_that_was_edited_is_drift_that_tells_no_secret(api, engine):
    apply(engine, desired()[Kind.WORKSPACE], hub())
    field = {"f:data": {"f:.dockerconfigjson": {}}}
    entry = {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": field}
    api.objects[SECRET]["metadata"]["managedFields"].append(entry)
    said = "Secret registry-hub: data..dockerconfigjson set by kubectl-edit"
    assert seen(engine, hub()).degraded == said


def test_a_secret_of_somebody_else_is_not_taken_and_stays(api, engine):
    apply(engine, desired()[Kind.WORKSPACE])
    about = {"name": "registry-hub", "namespace": "lab", "resourceVersion": "1", "uid": "u"}
    api.objects[SECRET] = {"apiVersion": "v1", "kind": "Secret", "metadata": about}
    with pytest.raises(OwnedByAnother, match="registry-hub"):
        apply(engine, hub())
    assert seen(engine, hub()).presence == Presence.ABSENT
    assert SECRET in api.objects


def test_a_password_that_cannot_be_recorded_is_in_no_secret(api, engine):
    apply(engine, desired()[Kind.WORKSPACE], hub())
    answers = api.refuse

    def refuse(asked):
        writes = "/secrets/inference." in asked.url.path and asked.method != "GET"
        creates = asked.method == "POST" and asked.url.path.endswith("/secrets")
        return httpx.Response(507) if writes or creates else answers(asked)

    api.refuse = refuse
    with pytest.raises(TargetError):
        apply(engine, hub(SECOND))
    with pytest.raises(TargetError):
        apply(engine, hub(name="other"))
    api.refuse = answers
    assert auths(api)["hub.example.org"]["password"] == FIRST
    assert SECRET.replace("hub", "other") not in api.objects


def test_a_record_that_cannot_be_read_stops_nothing_and_set_aside_leaves_no_secret(api, engine):
    up(engine, "hub.example.org/team/server:1", hub())
    records = engine.platform.ports("demo").records
    with records.edit():
        records.put("records", "Connection.hub", "{")
    assert seen(engine, hub()).presence == Presence.UNKNOWN
    assert seen(engine, desired()[Kind.DEPLOYMENT]).degraded == ""
    assert SECRET in api.objects
    engine.set_aside(hub().id, ANN)
    assert SECRET not in api.objects


def test_a_workspace_takes_the_secrets_of_connections_with_it(api, engine, platform):
    apply(engine, desired()[Kind.WORKSPACE], hub())
    platform.remove("demo")
    assert SECRET not in api.objects


def test_other_connections_have_no_secret_of_their_own(api, engine):
    apply(engine, desired()[Kind.WORKSPACE])
    apply(engine, hub(name="api", category="ApiKey", credentials={"key": FIRST}))
    roles = {one["metadata"].get("labels", {}).get("pulumi-inference/role") for one in
             api.objects.values()}  # fmt: skip
    assert "registry" not in roles
