"""Content lies in a bucket: it outlives its pod, and what is of others there stays."""

import itertools

import pytest

from inference_provider.desired import DesiredResource
from inference_provider.errors import TargetUnreachable
from inference_provider.files.digest import with_content_hash
from inference_provider.files.source_folder import SourceFolder
from inference_provider.observed import Kind
from inference_provider.refusals import refusals
from inference_provider.spec import ModelSpec
from inference_provider.targets.kubernetes.names import CONTENT_NAME
from inference_provider.targets.kubernetes.objects import DEPLOYMENT, POD, SECRET, encoded, name_of
from inference_provider.targets.kubernetes.pods import is_ready
from tests.cluster.buckets import runtime_image_with_s3
from tests.cluster.places import LINK_HERE
from tests.cluster.runtime import runtime_image
from tests.conformance.labs import KubernetesLab, wait_until
from tests.s3_server import s3_server

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(280)]

URL = "s3://models/demo"
BIG = 200_000_000
_PART = bytes(range(250)) * 4_000
MINE = {"report.csv": 4, f"demo-other/assets/{'a' * 64}": 4, "demo/readme.txt": 4}
"""Of somebody else, in the same bucket."""


class BucketLab(KubernetesLab):
    """A lab whose pods run an image with s3fs, in a namespace that was there."""

    @property
    def runtime_image(self) -> str:
        return runtime_image_with_s3()

    def in_bucket(self, url: str = URL, **storage: str) -> DesiredResource:
        asked = {"url": url, "secret": "bucket", **storage}
        return self.space(cluster={"storage": asked})

    def by_connection(self) -> DesiredResource:
        return self.space(cluster={"storage": {"url": URL, "connection": "store"}})

    def store_connection(self, url: str, key: str, secret: str) -> DesiredResource:
        return self.connection(
            "store",
            category="S3",
            target=url,
            metadata={"region": "us-east-1"},
            credentials={"accessKeyId": key, "secretAccessKey": secret},
        )

    def big_model(self) -> DesiredResource:
        with (self.folder / "big.bin").open("wb") as file:
            for part in itertools.repeat(_PART, BIG // len(_PART)):
                file.write(part)
        spec = ModelSpec(workspace=self.workspace, name="big", path="big.bin")
        hashed = with_content_hash(spec, SourceFolder(self.folder))
        id_ = self.id(Kind.MODEL, "big:1")
        about = {"id": id_, "spec": hashed, "owner": "demo", "base_dir": str(self.folder)}
        return DesiredResource.model_validate(about)

    def content_pods(self) -> dict[str, bool]:
        """Return whether each pod that keeps content is ready."""
        found = self.platform.client.items(POD, self.workspace, "pulumi-inference/role=content")
        return {name_of(one): is_ready(one) for one in found}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with s3_server(tmp_path_factory.mktemp("s3") / "log", LINK_HERE) as store:
        for key in MINE:
            store.put(key, b"mine")
        yield store


def give(api, namespace: str, name: str, variables: dict[str, str]) -> None:
    about = {"name": name, "namespace": namespace}
    kind = {"apiVersion": SECRET.api, "kind": SECRET.name}
    api.apply({**kind, "metadata": about, "data": encoded(variables)})


@pytest.fixture
def lab(api, store, namespace, tmp_path):
    give(api, namespace, "bucket", store.variables())
    lab = BucketLab(BucketLab.open(tmp_path), tmp_path, namespace)
    yield lab
    lab.close()
    lab.platform.close()
    assert store.objects() == MINE


def written(store) -> dict:
    """Return when each object of the workspace was written."""
    found = store.s3.list_objects_v2(Bucket="models", Prefix="demo/")["Contents"]
    return {one["Key"]: one["LastModified"] for one in found}


def test_content_is_in_the_bucket_and_the_next_pod_has_it_without_another_upload(lab, store):
    lab.apply(lab.in_bucket(), *lab.desired[1:])
    big = lab.big_model()
    pinned = f"azureml:big:1@sha256:{big.spec.content_hash}"
    lab.apply(big, lab.deployment(model=pinned))
    assert lab.ask() == 200
    ours = {key: size for key, size in store.objects().items() if key not in MINE}
    assert len(ours) == 6  # marker, both models, code, the environment and its name
    assert "demo/workspace.json" in ours
    assert BIG < max(ours.values()) < BIG + 20_000
    before = written(store)

    [old] = lab.content_pods()
    lab.platform.client.delete(POD, lab.workspace, old)
    wait_until(lambda: [*lab.content_pods().values()] == [True] and old not in lab.content_pods())
    assert lab.target.observe_one(big.id).degraded == ""
    lab.apply(big, lab.deployment(model=pinned, environment_variables={"AGAIN": "1"}))
    assert lab.ask() == 200
    assert written(store) == before

    lab.delete(lab.of(Kind.TRAFFIC).id)
    lab.delete(lab.of(Kind.DEPLOYMENT).id)
    lab.delete(big.id)
    assert max(size for key, size in store.objects().items() if key not in MINE) < 100_000


def test_a_bucket_that_cannot_be_used_is_told_and_what_serves_goes_on(api, lab, store):
    lab.up()
    before = lab.platform.client.get(DEPLOYMENT, lab.workspace, CONTENT_NAME)
    wrong = store.variables(AWS_SECRET_ACCESS_KEY="wrong")
    give(api, lab.workspace, "wrong", wrong)
    give(api, lab.workspace, "away", store.variables(AWS_ENDPOINT_URL=f"http://{LINK_HERE}:1"))
    store.put("taken/workspace.json", b'{"workspace": "w", "namespace": "n", "id": "i"}')
    told = {
        "its credentials do not let the content pod read from s3://models/demo": lab.in_bucket(
            secret="wrong"
        ),
        "there is no bucket of s3://no-such-bucket/demo": lab.in_bucket("s3://no-such-bucket/demo"),
        "the content pod cannot read from s3://models/demo: Could not connect": lab.in_bucket(
            secret="away"
        ),
        "s3://models/taken holds the content of another workspace, workspace 'w' of": (
            lab.in_bucket("s3://models/taken")
        ),
        "the runtime image has no s3fs": lab.space(
            runtime_image=runtime_image(),
            cluster={"storage": {"url": "s3://models/demo", "secret": "bucket"}},
        ),
    }
    store.put("taken/workspace.json", b'{"workspace": "w", "namespace": "n", "id": "i"}')
    try:
        for said, space in told.items():
            with pytest.raises(TargetUnreachable, match=said):
                lab.apply(space)
            assert lab.ask() == 200
    finally:
        store.drop("taken/workspace.json")
    after = lab.platform.client.get(DEPLOYMENT, lab.workspace, CONTENT_NAME)
    assert after["spec"] == before["spec"]


def test_a_secret_that_is_not_there_is_refused_when_planning(lab):
    asked = lab.in_bucket(secret="no-such-secret")
    [fault] = refusals([asked], lab.target.capabilities)
    assert "there is no Secret 'no-such-secret' in namespace" in str(fault)


def test_a_connection_lets_the_content_in_after_its_workspace_and_other_keys_are_tried(lab, store):
    lab.apply(lab.by_connection())
    lab.apply(lab.store_connection(store.url, store.key, store.secret), *lab.desired[1:])
    assert lab.ask() == 200
    ours = {key for key in store.objects() if key not in MINE}
    assert "demo/workspace.json" in ours
    assert len(ours) == 5  # marker, model, code, the environment and its name

    [first] = lab.content_pods()
    told = "its credentials do not let the content pod read from s3://models/demo"
    with pytest.raises(TargetUnreachable, match=told):
        lab.apply(lab.store_connection(store.url, store.key, "wrong"))
    connection = lab.id(Kind.CONNECTION, "store")
    assert lab.target.observe_one(connection).degraded == ""

    lab.apply(lab.store_connection(store.url, *store.second))
    wait_until(lambda: [*lab.content_pods().values()] == [True])
    assert first not in lab.content_pods()
    lab.apply(lab.deployment(environment_variables={"AGAIN": "1"}))
    assert lab.ask() == 200
    assert lab.target.observe_one(lab.of(Kind.MODEL).id).degraded == ""
