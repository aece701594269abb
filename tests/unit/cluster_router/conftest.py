"""The router of a cluster, over an API server in memory."""

import pytest
from tests.unit.cluster_router.lab import Lab

from inference_provider.targets.kubernetes import role_pods
from inference_provider.targets.kubernetes import router as module


@pytest.fixture
def lab(monkeypatch):
    for name in ("START_S", "STUCK_S"):
        monkeypatch.setattr(role_pods, name, 0.3)
    monkeypatch.setattr(role_pods, "POLL_S", 0.01)
    monkeypatch.setattr(module, "_POLL_S", 0.01)
    return Lab()
