"""Which secret store a workspace's settings open, and what that needs."""

import pytest

from inference_provider.secret_stores.opened import open_store, store_fault

SETTINGS = {
    "EnvironmentSecrets": {"kind": "environment"},
    "VaultSecrets": {"kind": "vault", "address": "https://vault.example.org:8200"},
    "AzureSecrets": {"kind": "azure_key_vault", "url": "https://lab.vault.azure.net"},
}


@pytest.mark.parametrize(("opened", "settings"), SETTINGS.items())
def test_settings_open_the_store_that_they_name(opened, settings):
    assert type(open_store(settings)).__name__ == opened


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        ("azure_key_vault", "run: pip install 'pulumi-inference[azure-key-vault]'"),
    ],
)
def test_a_store_whose_package_is_missing_is_refused_by_name(kind, remedy):
    reason = f"reading from {kind} needs a package that is not installed"
    assert store_fault(kind, lambda _package: False) == (reason, remedy)
    assert store_fault(kind) is None


@pytest.mark.parametrize("kind", ["encrypted_file", "environment", "vault"])
def test_other_stores_need_no_package(kind):
    assert store_fault(kind, lambda _package: False) is None
