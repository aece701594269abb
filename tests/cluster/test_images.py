"""Images get into the cluster of the tests, by an archive and by a registry."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from tests import cluster_host
from tests.cluster import images, places
from tests.docker.registry import Registry

pytestmark = pytest.mark.cluster

OCI = "application/vnd.oci.image"


@pytest.fixture(scope="module")
def at():
    at = places.ours()
    if Path(cluster_host.KUBECONFIG) != at.kubeconfig:
        pytest.skip("only the cluster of `make test-cluster` gets images from here")
    return at


def layer(at) -> bytes:
    """Make the tar of a root file system with one static program in it."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.add(at.programs / "pause", "waits")
    return content.getvalue()


def put(registry, name, content) -> None:
    """Put an image of one layer into a registry."""

    def blob(kind: str, given: bytes):
        digest = f"sha256:{hashlib.sha256(given).hexdigest()}"
        registry.blobs[digest] = given
        return {"mediaType": kind, "digest": digest, "size": len(given)}

    stored = blob(f"{OCI}.layer.v1.tar", content)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["/waits"]},
        "rootfs": {"type": "layers", "diff_ids": [stored["digest"]]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{OCI}.manifest.v1+json",
        "config": blob(f"{OCI}.config.v1+json", json.dumps(config).encode()),
        "layers": [stored],
    }
    text = json.dumps(manifest).encode()
    digest = f"sha256:{hashlib.sha256(text).hexdigest()}"
    found = (manifest["mediaType"], text)
    registry.manifests |= {f"{name}:1": found, f"{name}@{digest}": found}


def pod(namespace, image, policy):
    container = {"name": "main", "image": image, "imagePullPolicy": policy}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "waits", "namespace": namespace},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
    }


def test_a_pod_runs_an_image_that_was_loaded(api, at, namespace, tmp_path):
    (tmp_path / "root.tar").write_bytes(layer(at))
    name = f"inference.test/{namespace}:1"
    images.load_image(at, name, tmp_path / "root.tar", command=["/waits"])
    api.apply(pod(namespace, name, "Never"))
    api.until_ready(f"/api/v1/namespaces/{namespace}/pods/waits")
    api.delete(f"/api/v1/namespaces/{namespace}/pods/waits")
    images.remove(at, name)
    assert name not in images.names(at)


def test_a_pod_runs_an_image_of_a_registry_of_this_machine(api, at, namespace):
    with Registry(address=places.LINK_HERE) as registry:
        put(registry, "waits", layer(at))
        images.allow_plain_http(at, registry.host)
        api.apply(pod(namespace, f"{registry.host}/waits:1", "Always"))
        api.until_ready(f"/api/v1/namespaces/{namespace}/pods/waits")
        images.remove(at, f"{registry.host}/waits:1")
