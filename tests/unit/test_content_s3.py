"""Content in a bucket of a server that speaks S3."""

import hashlib

import pytest
from tests.s3_server import s3_server

from inference_provider.targets.kubernetes.content_bucket import Bucket, BucketFault, Owner, opened
from inference_provider.targets.kubernetes.content_cache import ContentCache
from inference_provider.targets.kubernetes.content_folder import NotTheContent

pytestmark = pytest.mark.local

BYTES = bytes(range(256)) * 100_000
DIGEST = hashlib.sha256(BYTES).hexdigest()
PARTS = [BYTES[start : start + 2**20] for start in range(0, len(BYTES), 2**20)]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with s3_server(tmp_path_factory.mktemp("s3") / "log") as store:
        yield store


@pytest.fixture
def secret(store, tmp_path):
    """Return the folder of a mounted Secret."""
    (folder := tmp_path / "secret").mkdir()
    write(folder, store.variables())
    return folder


def write(folder, variables):
    for name, value in variables.items():
        (folder / name).write_text(value)


@pytest.fixture
def cache(secret, tmp_path, monkeypatch):
    for file in secret.iterdir():
        monkeypatch.setenv(file.name, "")  # what the bucket sets is taken back
    (folder := tmp_path / "pod").mkdir()
    return ContentCache(folder, Bucket("s3://models/demo", OWNER, lambda u: opened(u, secret)))


OWNER = Owner("demo", "lab", "a1")


def test_what_does_not_arrive_whole_leaves_no_object_and_no_parts(cache, store):
    with pytest.raises(NotTheContent):
        cache.receive(DIGEST, PARTS[:-1], len(BYTES))
    assert [*store.objects()] == ["demo/workspace.json"]
    assert "Uploads" not in store.s3.list_multipart_uploads(Bucket="models")
    cache.receive(DIGEST, PARTS, len(BYTES))
    assert store.objects()[f"demo/assets/{DIGEST}"] == 25_600_000
    assert [one["size"] for one in cache.listed()["assets"]] == [25_600_000]
    cache.clear()
    assert store.objects() == {}


def test_a_secret_that_is_mended_is_in_force_without_a_restart(cache, store, secret):
    write(secret, {"AWS_SECRET_ACCESS_KEY": "wrong"})
    with pytest.raises(BucketFault, match="its credentials do not let the content pod read from"):
        cache.check()
    write(secret, {"AWS_SECRET_ACCESS_KEY": store.secret})
    cache.check()
    cache.clear()
