"""For how long, and for whom, a secret store is not asked again."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from inference_provider.secret_stores.environment import EnvironmentSecrets
from inference_provider.targets.memory_records import MemoryRecords
from inference_provider.workspace.secret_store import SecretStore

HUB = {
    "name": "hub",
    "category": "ApiKey",
    "auth_type": "ApiKey",
    "target": "",
    "metadata": {},
    "credentials": {"key": ""},
    "stored": {"key": "HUB_KEY"},
}


class Kept:
    """A connection whose key is a variable."""

    def __init__(self):
        self.variables = {"HUB_KEY": "old"}
        self._records = MemoryRecords("lab")
        opened = EnvironmentSecrets(self.variables)
        settings = {"kind": "environment"}
        self.store = SecretStore(self._records, lambda: settings, lambda _settings: opened)

    def apply(self):
        contents = self.store.fetched(HUB)
        with self._records.edit():
            self.store.put(contents)

    def key(self):
        return self.store.read("hub")["credentials"]["key"]

    def applied_key(self):
        self.apply()
        with self.store.still():
            return self.key()


@pytest.fixture
def kept():
    found = Kept()
    found.apply()
    return found


def test_who_applies_sees_the_new_value_while_another_thread_observes(kept):
    with kept.store.still(), ThreadPoolExecutor(1) as other:
        assert kept.key() == "old"
        kept.variables["HUB_KEY"] = "new"
        assert other.submit(kept.applied_key).result() == "new"
        assert kept.key() == "old"  # one observation sees one value
    assert kept.key() == "new"


def test_who_applies_within_an_observation_sees_the_new_value(kept):
    with kept.store.still():
        kept.key()
        kept.variables["HUB_KEY"] = "new"
        assert kept.applied_key() == "new"


def test_an_observation_within_another_does_not_end_it(kept):
    with kept.store.still():
        with kept.store.still():
            assert kept.key() == "old"
        kept.variables["HUB_KEY"] = "new"
        assert kept.key() == "old"
