"""What a workspace in a cluster keeps of content, by a server of this process."""

import ssl

import pytest
from tests.cluster_api import ClusterApi
from tests.content_pod import content_server
from tests.memory import record
from tests.unit.cluster_content.kept import ThroughApi, hashed

from inference_provider.observed import Kind
from inference_provider.spec import ModelSpec, WorkspaceSpec
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.content import KubernetesContent
from inference_provider.targets.kubernetes.content_store import ContentStore
from inference_provider.targets.kubernetes.kubeconfig import Access
from inference_provider.targets.memory_records import MemoryRecords
from inference_provider.workspace.state import State


@pytest.fixture
def server(tmp_path):
    with content_server(tmp_path / "volume") as made:
        yield made


@pytest.fixture
def api():
    return ClusterApi()


@pytest.fixture
def cluster(api, server):
    return ThroughApi(api, server)


@pytest.fixture
def client(cluster):
    access = Access("lab", "https://lab", "", ssl.create_default_context(), lambda: "token")
    made = Client(access, transport=cluster)
    yield made
    made.close()


@pytest.fixture
def records():
    made = MemoryRecords("default")
    spec = WorkspaceSpec(base_image="debian-python:12", runtime_image="runtime:1")
    State(made).put_record(record(Kind.WORKSPACE, spec))
    return made


@pytest.fixture
def content(client, records):
    store = ContentStore(client, "lab", "demo", sleep=lambda _seconds: None)
    return KubernetesContent(client, "lab", records, store)


@pytest.fixture
def model(tmp_path):
    (tmp_path / "iris").mkdir()
    (tmp_path / "iris" / "w.bin").write_bytes(b"w" * 3_000_000)
    return hashed(ModelSpec(name="iris", path="iris"), tmp_path)
