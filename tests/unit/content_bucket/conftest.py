"""A bucket for each test, in memory and in a folder."""

import fsspec
import pytest
from tests.unit.content_bucket.buckets import bucket_at, cache_at, numbers


@pytest.fixture(params=["memory", "file"])
def place(request, tmp_path):
    """Return the file system, and the path of a prefix in it that nothing else has."""
    if request.param == "memory":
        return fsspec.filesystem("memory", skip_instance_cache=True), f"/models{next(numbers)}/ws"
    return fsspec.filesystem("file", auto_mkdir=True, skip_instance_cache=True), str(tmp_path / "b")


@pytest.fixture
def bucket(place):
    return bucket_at(place)


@pytest.fixture
def cache(bucket, tmp_path):
    return cache_at(tmp_path, bucket)
