"""A server that speaks S3, which pods of the cluster reach, and what their image needs for it."""

import functools
import json
import os
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import pytest
import uv

from tests import cluster_host
from tests.cluster import images
from tests.cluster.places import LINK_HERE, ours
from tests.cluster.runtime import runtime_image

_SETTING_UP = 4
"""Requests that need no credentials: those that make the user and the bucket."""
_PYTHON = "3.11"
"""Of the base image of the tests."""
ALLOWED = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}


class Store:
    """One bucket, `models`, and a user who may use it."""

    def __init__(self, port: int) -> None:
        import boto3

        self.url = f"http://{LINK_HERE}:{port}"
        about = {"endpoint_url": self.url, "region_name": "us-east-1"}
        nobody = {"aws_access_key_id": "nobody", "aws_secret_access_key": "nothing"}
        iam = boto3.client("iam", **about, **nobody)
        iam.create_user(UserName="ann")
        policy = json.dumps({"Version": "2012-10-17", "Statement": [ALLOWED]})
        iam.put_user_policy(UserName="ann", PolicyName="all", PolicyDocument=policy)
        key = iam.create_access_key(UserName="ann")["AccessKey"]
        boto3.client("s3", **about, **nobody).create_bucket(Bucket="models")
        self.key, self.secret = key["AccessKeyId"], key["SecretAccessKey"]
        given = {"aws_access_key_id": self.key, "aws_secret_access_key": self.secret}
        self.s3 = boto3.client("s3", **about, **given)

    def variables(self, **others: str) -> dict[str, str]:
        """Return what a Secret has to hold."""
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_DEFAULT_REGION": "us-east-1",
            **others,
        }

    def objects(self) -> dict[str, Any]:
        """Return the size of each object."""
        found = self.s3.list_objects_v2(Bucket="models").get("Contents", [])
        return {one["Key"]: one["Size"] for one in found}

    def put(self, key: str, text: bytes) -> None:
        self.s3.put_object(Bucket="models", Key=key, Body=text)

    def drop(self, key: str) -> None:
        self.s3.delete_object(Bucket="models", Key=key)


@contextmanager
def s3_server(log: Path) -> Iterator[Store]:
    """Serve S3 where pods reach it; who has no credentials of a user is refused."""
    with socket.create_server((LINK_HERE, 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", LINK_HERE, "-p", str(port)]
    given = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(_SETTING_UP)}
    with log.open("w") as told:
        server = subprocess.Popen(command, env=given, stdout=told, stderr=subprocess.STDOUT)
    try:
        _wait(f"http://{LINK_HERE}:{port}/moto-api/", server)
        yield Store(port)
    finally:
        server.kill()
        server.wait()


def _wait(url: str, server: subprocess.Popen) -> None:
    until_s = time.monotonic() + 60
    while True:
        try:
            httpx.get(url, trust_env=False)
            return
        except httpx.TransportError:
            if server.poll() is not None or time.monotonic() > until_s:
                raise
            time.sleep(0.1)


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
