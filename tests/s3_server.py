"""A server that speaks S3, as a process of its own."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

_SETTING_UP = 5
"""Requests that need no credentials: those that make the user, its keys and the bucket."""
ALLOWED = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}


class Store:
    """One bucket, `models`, and a user who may use it."""

    def __init__(self, url: str) -> None:
        import boto3

        self.url = url
        about = {"endpoint_url": self.url, "region_name": "us-east-1"}
        nobody = {"aws_access_key_id": "nobody", "aws_secret_access_key": "nothing"}
        iam = boto3.client("iam", **about, **nobody)
        iam.create_user(UserName="ann")
        policy = json.dumps({"Version": "2012-10-17", "Statement": [ALLOWED]})
        iam.put_user_policy(UserName="ann", PolicyName="all", PolicyDocument=policy)
        key, second = (iam.create_access_key(UserName="ann")["AccessKey"] for _ in range(2))
        self.second = second["AccessKeyId"], second["SecretAccessKey"]
        """Another key of hers, and its secret."""
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
def s3_server(log: Path, host: str = "127.0.0.1") -> Iterator[Store]:
    """Serve S3 at an address of this machine; who has no credentials of a user is refused."""
    with socket.create_server((host, 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", host, "-p", str(port)]
    given = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(_SETTING_UP)}
    with log.open("w") as told:
        server = subprocess.Popen(command, env=given, stdout=told, stderr=subprocess.STDOUT)
    try:
        _wait(f"http://{host}:{port}/moto-api/", server)
        yield Store(f"http://{host}:{port}")
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
