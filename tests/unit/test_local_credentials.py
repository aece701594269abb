"""What an instance of this machine gets of connections at each of its starts."""

import pytest

from inference_provider.secret_stores.environment import EnvironmentSecrets
from inference_provider.targets.local.credentials import (
    First,
    SecretsInjectionError,
    first_values,
    values,
)
from inference_provider.targets.memory_records import MemoryRecords
from inference_provider.workspace.secret_store import SecretStore

SECRET, PROGRAM = "a-secret-of-4711", "iris.blue.1.0"
ASKED = {"OPENAI_KEY": "${{azureml://connections/hub/credentials/key}}"}
HUB = {"name": "hub", "category": "ApiKey", "auth_type": "ApiKey", "target": "", "metadata": {}}


class Moving:
    """A workspace's store and its files, which moves to variables of the process."""

    def __init__(self, folder):
        self.folder, self.settings = folder, {}
        self._records = MemoryRecords("lab")
        store = EnvironmentSecrets({"HUB_KEY": SECRET})
        self._store = SecretStore(self._records, lambda: self.settings, lambda _settings: store)

    def keep(self, **fields):
        contents = self._store.fetched({**HUB, **fields})
        with self._records.edit():
            self._store.put(contents)
        for section, documents in self._records.everything().items():
            (self.folder / section).mkdir(exist_ok=True)
            for name, document in documents.items():
                (self.folder / section / f"{name}.json").write_bytes(document)

    def move(self):
        self.settings = {"kind": "environment"}
        self.keep(credentials={"key": ""}, stored={"key": "HUB_KEY"})


@pytest.fixture
def moving(tmp_path):
    found = Moving(tmp_path)
    found.keep(credentials={"key": SECRET})
    return found


def started(folder, program=PROGRAM):
    return First(program, first_values(folder, PROGRAM, {"OPENAI_KEY": SECRET}))


def test_it_gets_what_it_had_after_the_workspace_moved_to_another_store(moving):
    first = started(moving.folder)
    assert SECRET not in first.document
    moving.move()
    assert values(moving.folder, ASKED, first) == {"OPENAI_KEY": SECRET}


def test_what_the_workspace_has_itself_counts_before_what_it_had(moving):
    first = started(moving.folder)
    moving.keep(credentials={"key": "another"})
    assert values(moving.folder, ASKED, first) == {"OPENAI_KEY": "another"}


@pytest.mark.parametrize("first", [First(PROGRAM, ""), "of another program"])
def test_what_cannot_be_read_is_named(moving, first):
    first = first if isinstance(first, First) else started(moving.folder, "iris.green.1.0")
    moving.move()
    with pytest.raises(SecretsInjectionError, match="set OPENAI_KEY: the secrets of connection"):
        values(moving.folder, ASKED, first)


def test_it_gets_what_it_had_of_a_key_vault(moving):
    first = started(moving.folder)
    asked = {"OPENAI_KEY": "${{keyvault:https://lab.vault.azure.net/secrets/openai-key}}"}
    assert values(moving.folder, asked, first) == {"OPENAI_KEY": SECRET}
    said = (
        "set OPENAI_KEY: secret 'openai-key' of Key Vault https://lab.vault.azure.net cannot be"
        " read; apply the deployment again"
    )
    with pytest.raises(SecretsInjectionError, match=said):
        values(moving.folder, asked, First(PROGRAM, ""))


def test_an_instance_without_values_has_none_to_keep(moving, tmp_path):
    assert first_values(moving.folder, PROGRAM, {}) == ""
    assert first_values(tmp_path / "elsewhere", PROGRAM, {"OPENAI_KEY": SECRET}) == ""
