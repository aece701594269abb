"""Identities as service accounts, on a real API server."""

import pytest

from inference_provider.errors import OwnedByAnother
from inference_provider.targets.kubernetes.accounts import Accounts
from inference_provider.targets.kubernetes.records import ClusterRecords

pytestmark = pytest.mark.cluster
ROLE = {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/robot"}
AZURE = {"azure.workload.identity/client-id": "7"}


@pytest.fixture
def accounts(platform, namespace):
    return Accounts(platform.client, ClusterRecords(platform.client, namespace, namespace))


def annotations(account):
    """Return its annotations but ours."""
    found = account["metadata"].get("annotations", {})
    return {name: value for name, value in found.items() if "pulumi-inference/" not in name}


def test_an_identity_is_an_account_with_its_annotations_and_no_others(accounts, api, namespace):
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/identity-robot"
    accounts.keep("robot", ROLE)
    assert annotations(api.get(path)) == ROLE
    accounts.keep("robot", AZURE)
    assert annotations(api.get(path)) == AZURE
    assert api.get(path)["automountServiceAccountToken"] is False
    accounts.drop("robot")
    api.until_gone(path)


def test_an_account_of_somebody_else_is_left_as_it_is(accounts, api, namespace):
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/identity-robot"
    about = {"name": "identity-robot", "namespace": namespace}
    api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": about})
    with pytest.raises(OwnedByAnother, match="ServiceAccount 'identity-robot' in namespace"):
        accounts.keep("robot", ROLE)
    accounts.drop("robot")
    assert annotations(api.get(path)) == {}
