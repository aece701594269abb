"""A content service of this process."""

import threading

import pytest

from inference_provider.targets.kubernetes import (
    archives,
)
from inference_provider.targets.kubernetes.archives import Service
from inference_provider.targets.kubernetes.content_server import Server


@pytest.fixture
def server(tmp_path):
    (tmp_path / "volume").mkdir()
    with Server(tmp_path / "volume", "127.0.0.1", 0) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def service(server, monkeypatch):
    monkeypatch.setattr(archives, "_PAUSE_S", 0.01)
    return Service(f"http://127.0.0.1:{server.server_port}", limit_s=0.2)
