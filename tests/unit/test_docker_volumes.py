"""What is told of the volumes that a container mounts, by the Engine's answers."""

import pytest

from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.sealed import Mount, edited
from inference_provider.targets.docker.volumes import volumes_of


class Answering(DockerHost):
    """A host whose files have one size and one time, as its Engine writes it."""

    def __init__(self, mtime):
        self._mtime = mtime

    def stat(self, container, path):
        return {"size": 5, "mtime": self._mtime}


@pytest.mark.parametrize(
    ("mtime", "told"),
    [
        ("1970-01-01T00:00:00Z", ""),
        ("1970-01-01T01:00:00+01:00", ""),
        ("1969-12-31T19:00:00-05:00", ""),
        ("2026-11-26T03:10:34.123456789+01:00", "'content/a' at 2026-11-26 02:10:34 UTC"),
        ("1970-01-01T00:00:00+01:00", "'content/a' at 1969-12-31 23:00:00 UTC"),
    ],
)
def test_a_file_has_the_time_0_in_whatever_zone_the_engine_writes_it(mtime, told):
    assert edited(Answering(mtime), Mount("id", "/v"), {"content/a": 5}) == told


def test_volumes_that_an_image_brings_are_no_content():
    mounts = [
        {"Type": "volume", "Name": "inference.lab.model.5d5b", "Destination": "/var/azureml/model"},
        {"Type": "volume", "Name": "inference.lab.code.02f3", "Destination": "/var/azureml/code"},
        {"Type": "volume", "Name": "6d4aec459b24", "Destination": "/data"},
        {"Type": "volume", "Name": "75de093e337e", "Destination": "/var/azureml/cache"},
        {"Type": "bind", "Source": "/srv", "Destination": "/srv"},
    ]
    assert volumes_of({"Mounts": mounts}) == {"inference.lab.model.5d5b", "inference.lab.code.02f3"}
