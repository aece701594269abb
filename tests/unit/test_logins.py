"""Which users of registries the connections of a workspace name."""

import pytest

from inference_provider.workspace.logins import host_of


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("hub.example.org", "hub.example.org"),
        ("hub.example.org:5000/team", "hub.example.org:5000"),
        ("https://lab.azurecr.io", "lab.azurecr.io"),
        ("https://hub.example.org:5000/v2/", "hub.example.org:5000"),
        ("", ""),
    ],
)
def test_a_target_names_its_registry_with_or_without_scheme_and_path(target, host):
    assert host_of(target) == host
