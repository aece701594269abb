"""Where a workspace's secret store may be, and where a credential may lie in it."""

import pytest
from pydantic import ValidationError

from inference_provider.spec import ConnectionSpec, WorkspaceSpec
from inference_provider.spec.secret_store import misfit

ADDRESS = "https://vault.example.org:8200"


def vault(**fields):
    settings = {"kind": "vault", "address": ADDRESS, **fields}
    return WorkspaceSpec(name="lab", secret_store=settings).secret_store


def misplaced(place):
    found = misfit("vault", ConnectionSpec(name="hub", stored_credentials={"key": place}))
    return found and found[1]


@pytest.mark.parametrize("path", ["..", ".", "ml/..", "../other", "ml/./lab", "ml/../../sys"])
@pytest.mark.parametrize("field", ["mount", "path", "namespace"])
def test_no_path_leads_out_of_where_it_begins(field, path):
    with pytest.raises(ValidationError, match="string_pattern_mismatch"):
        vault(**{field: path})
    assert misplaced(f"{path}#key")


@pytest.mark.parametrize("path", ["ml/lab", ".hidden", "..hidden", "...", "v1.2/a_b-c.", "a..b"])
def test_other_points_are_part_of_a_name(path):
    assert vault(mount=path, path=path, namespace=path).path == path
    assert misplaced(f"{path}#key") is None


@pytest.mark.parametrize(
    "address",
    [
        f"{ADDRESS}/?a=b",
        f"{ADDRESS}/x/../y",
        f"{ADDRESS}/..",
        f"{ADDRESS}/%2e%2e/y",
        f"{ADDRESS}\\\\@elsewhere.example.org",
        "http://vault.example.org",
    ],
)
def test_the_address_is_of_a_server_that_nobody_reads_on_the_way(address):
    with pytest.raises(ValidationError):
        vault(address=address)
    with pytest.raises(ValidationError):
        WorkspaceSpec(name="lab", secret_store={"kind": "azure_key_vault", "url": address})


@pytest.mark.parametrize("address", [ADDRESS, f"{ADDRESS}/below/it/", "http://127.0.0.1:8200"])
def test_an_address_of_a_server_is_taken(address):
    assert vault(address=address).address == address
