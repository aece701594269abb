"""A workspace whose content lies in a bucket: what its pod gets, and what is refused and told."""

import pytest
from tests.unit.cluster_target.stack import ANN, CONTENT, desired, pod_specs, up

from inference_provider.errors import TargetError, TargetUnreachable
from inference_provider.observed import Kind, ResourceId
from inference_provider.refusals import refusals

SECRET = "/api/v1/namespaces/lab/secrets/bucket"
URL = "s3://models/demo"
WORKSPACE = ResourceId(kind=Kind.WORKSPACE, workspace="demo", name="demo")
FAULT = "its credentials do not let the content pod read from s3://models/demo: Forbidden"


def storage(**fields):
    return {"storage": {"url": URL, **fields}}


@pytest.fixture
def secret(api):
    about = {"name": "bucket", "namespace": "lab", "resourceVersion": "1"}
    api.objects[SECRET] = {"apiVersion": "v1", "kind": "Secret", "metadata": about}


def refused(engine, **workspace) -> list[str]:
    asked = [desired(**workspace)[Kind.WORKSPACE]]
    return [str(one.fault) for one in refusals(asked, engine.capabilities)]


def container(api) -> dict:
    [found] = pod_specs(api)["inference-content"]["containers"]
    return found


@pytest.mark.usefixtures("secret")
def test_the_content_pod_alone_gets_the_url_and_the_variables(api, engine):
    up(engine, cluster=storage(secret="bucket"))
    assert container(api)["command"][3:] == [
        *("/content", "--bucket", URL, "--owner", "lab/demo", "--variables", "/variables")
    ]
    mounted = {"name": "variables", "mountPath": "/variables", "readOnly": True}
    assert mounted in container(api)["volumeMounts"]
    held = {"name": "variables", "secret": {"secretName": "bucket"}}
    assert pod_specs(api)["inference-content"]["volumes"] == [
        {"name": "content", "emptyDir": {}},
        held,
    ]
    assert [name for name, pod in pod_specs(api).items() if held in pod["volumes"]] == [
        "inference-content"
    ]
    assert api.refuse.bucket_asked == ["GET"]


@pytest.mark.parametrize(
    ("annotation", "labels"),
    [
        ("eks.amazonaws.com/role-arn", {}),
        ("azure.workload.identity/client-id", {"azure.workload.identity/use": "true"}),
    ],
)
def test_the_content_pod_is_the_account_that_reaches_the_bucket(api, engine, annotation, labels):
    accounts = {"models": {"annotations": {annotation: "x"}}}
    up(engine, cluster={**storage(service_account="models"), "service_accounts": accounts})
    pod = pod_specs(api)["inference-content"]
    assert pod["serviceAccountName"] == "models"
    assert pod["automountServiceAccountToken"] is False
    told = api.objects[CONTENT]["spec"]["template"]["metadata"]["labels"]
    assert {n: v for n, v in told.items() if n.startswith("azure")} == labels


def test_without_a_bucket_nothing_is_asked_of_one(api, engine):
    up(engine)
    assert container(api)["command"][3:] == ["/content"]
    assert "serviceAccountName" not in pod_specs(api)["inference-content"]
    engine.delete(ResourceId(kind=Kind.TRAFFIC, workspace="demo", name="iris"), "shop", ANN)
    assert api.refuse.bucket_asked == []


def test_a_bucket_that_cannot_be_used_fails_the_up_and_leaves_what_was_there(api, engine):
    up(engine)
    before = api.objects[CONTENT]["spec"]
    api.refuse.bucket_fault = f"{FAULT}\nmend the Secret\n"
    with pytest.raises(TargetUnreachable) as told:
        engine.apply(desired(cluster=storage())[Kind.WORKSPACE], ANN)
    assert str(told.value).endswith(f"{FAULT}; mend the Secret")
    assert api.objects[CONTENT]["spec"] == before


def test_a_first_up_that_its_bucket_fails_leaves_nothing(api, engine):
    api.refuse.bucket_fault = f"{FAULT}\nmend the Secret\n"
    with pytest.raises(TargetUnreachable, match="mend the Secret"):
        engine.apply(desired(cluster=storage())[Kind.WORKSPACE], ANN)
    assert CONTENT not in api.objects


def delete_all(engine):
    for one in reversed([*desired().values()]):
        engine.delete(one.id, "shop", ANN)


def test_a_workspace_that_goes_clears_its_prefix(api, engine):
    up(engine, cluster=storage())
    delete_all(engine)
    assert api.refuse.bucket_asked == ["GET", "DELETE"]
    assert CONTENT not in api.objects


def test_a_workspace_whose_prefix_cannot_be_cleared_stays_until_somebody_decides(api, engine):
    up(engine, cluster=storage())
    api.refuse.bucket_fault = f"{FAULT}\nmend the Secret\n"
    with pytest.raises(TargetError) as told:
        delete_all(engine)
    assert str(told.value) == (
        "delete what workspace 'demo' has in its bucket on cluster 'lab':"
        f" {FAULT}; mend the Secret; or delete Deployment inference-content, and what is in the"
        " bucket stays"
    )
    assert engine.record(WORKSPACE) is not None
    api.drop(CONTENT)
    delete_all_left = desired()[Kind.WORKSPACE]
    engine.delete(delete_all_left.id, "shop", ANN)
    assert engine.workspaces() == ()


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        (
            {"url": URL, "size": "20Gi"},
            "cluster.storage.url: content lies on a claim or in a bucket; leave size out",
        ),
        (
            {"url": "file://models"},
            "cluster.storage.url: what file:// names is in the pod, and gone with it; name a"
            " bucket, for example s3://models/demo",
        ),
        (
            {"url": "https://models"},
            "cluster.storage.url: nothing can be written by https://; name a bucket",
        ),
        (
            {"service_account": "default"},
            "cluster.storage.service_account: only a bucket needs it; add url, or leave it out",
        ),
        (
            {"url": URL, "secret": "bucket"},
            "cluster.storage.secret: there is no Secret 'bucket' in namespace 'lab'; make it with"
            " `kubectl -n lab create secret generic bucket --from-literal=AWS_ACCESS_KEY_ID=…`, in"
            " a namespace that is there",
        ),
        (
            {"url": URL, "service_account": "models"},
            "cluster.storage.service_account: the workspace declares no ServiceAccount 'models',"
            " and nobody else has made it; declare it in the workspace's cluster.service_accounts",
        ),
    ],
)
def test_what_cannot_be_is_refused_when_planning(engine, asked, fault):
    assert refused(engine, cluster={"storage": asked}) == [fault]


def test_what_reaches_a_bucket_that_is_not_known_must_be_in_an_image_that_is_named(engine):
    asked = {"storage": {"url": "oss://models/demo"}}
    assert refused(engine, cluster=asked) == []
    [fault] = refused(engine, cluster=asked, runtime_image=None, registry="reg.example.org/team")
    assert fault == (
        "cluster.storage.url: which package of fsspec reaches oss:// is not known here; name a"
        " runtime_image that has it, by `inferctl image build --with PACKAGE`"
    )


def test_a_plan_says_where_content_lies_and_by_what_it_is_reached(engine):
    asked = desired(cluster=storage(secret="bucket"))[Kind.WORKSPACE]
    assert [*engine.capabilities.notes(asked, None)] == [
        "models and code lie in s3://models/demo, reached by secret bucket"
    ]
