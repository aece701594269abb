"""A content service of this process."""

import pytest
from tests.content_pod import content_server

from inference_provider.targets.kubernetes import (
    archives,
)
from inference_provider.targets.kubernetes.archives import Service


@pytest.fixture
def server(tmp_path):
    with content_server(tmp_path / "volume") as made:
        yield made


@pytest.fixture
def service(server, monkeypatch):
    monkeypatch.setattr(archives, "_PAUSE_S", 0.01)
    return Service(f"http://127.0.0.1:{server.server_port}", limit_s=0.2)
