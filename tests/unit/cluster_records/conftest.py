"""Records of a workspace in a cluster, over an API server in memory."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.cluster_api import ClusterApi, client_of
from tests.unit.cluster_records.clients import ANN

from inference_provider.observed import JournalEntry, Kind, ResourceId
from inference_provider.targets.kubernetes.records import ClusterRecords


@pytest.fixture
def api():
    return ClusterApi()


@pytest.fixture
def records(api):
    made = ClusterRecords(client_of(api), "lab", "demo")
    made.make()
    return made


@pytest.fixture
def entry():
    times = (datetime(2026, 11, 26, tzinfo=UTC) + timedelta(seconds=n) for n in range(100))

    def make(name: str) -> JournalEntry:
        id_ = ResourceId(kind=Kind.ENDPOINT, workspace="demo", name=name)
        return JournalEntry(time=next(times), actor=ANN, action="create", id=id_)

    return make
