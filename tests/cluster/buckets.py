"""The runtime image of the tests' cluster with what reaches a bucket."""

import functools
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

import pytest
import uv

from tests import cluster_host
from tests.cluster import images
from tests.cluster.places import ours
from tests.cluster.runtime import runtime_image

_PYTHON = "3.11"
"""Of the base image of the tests."""


@functools.cache
def runtime_image_with_s3() -> str:
    """Return the name of the runtime image with s3fs in it, as one more layer on the usual one."""
    if Path(cluster_host.KUBECONFIG) != ours().kubeconfig:
        pytest.skip("only the cluster of `make test-cluster` gets an image with s3fs")
    image = runtime_image()
    name = f"{image.partition(':')[0]}:{image.partition(':')[2]}-s3"
    with tempfile.TemporaryDirectory() as folder:
        packages, layer = Path(folder) / "packages", Path(folder) / "layer.tar"
        asked = [f"{one}=={version(one)}" for one in ("s3fs", "fsspec")]
        where = ["--target", str(packages), "--python-version", _PYTHON, "--link-mode", "copy"]
        command = [uv.find_uv_bin(), "pip", "install", "-q", "--python", sys.executable]
        subprocess.run([*command, *where, *asked], check=True)
        with tarfile.open(layer, "w") as archive:
            archive.add(packages, "opt/inference/lib", filter=_needed)
        images.load_on(ours(), image, name, layer)
    return name


def _needed(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out what botocore knows of other services: it is nine tenths of all."""
    _, _, service = entry.name.partition("/botocore/data/")
    known = ("s3/", "sts/", "sso", "endpoints", "partitions", "_retry", "sdk-default")
    is_folder = entry.isdir() and service == "s3"
    if service and not is_folder and not service.startswith(known):
        return None
    entry.uid = entry.gid = 0
    return entry
