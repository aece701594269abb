"""Clients of the records of one workspace, and what one of them suffers."""

import time

import httpx
from tests.cluster_api import client_of

from inference_provider.observed import Actor
from inference_provider.targets.kubernetes.records import ClusterRecords

SECRETS = "/api/v1/namespaces/lab/secrets"
REVISION = f"{SECRETS}/inference.revision"
ANN = Actor(user="ann", command="inferctl up")
LEASES = "/apis/coordination.k8s.io/v1/namespaces/lab/leases"


def another(api) -> ClusterRecords:
    """Return the records as another client has them."""
    return ClusterRecords(client_of(api), "lab", "demo")


def unrenewed(asked: httpx.Request) -> None:
    """Do not answer a renewal."""
    if asked.method == "PATCH":
        raise httpx.ReadTimeout("timed out")


def until(question) -> None:
    deadline_s = time.monotonic() + 5
    while not question():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.005)
