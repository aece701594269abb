"""Identities of a stack as service accounts of a cluster, and the pods that run as them."""

import pytest
from tests.unit.cluster_target.stack import ANN, desired, pod_specs

from inference_provider.desired import DesiredResource
from inference_provider.errors import OwnedByAnother
from inference_provider.observed import Kind, ResourceId
from inference_provider.spec import EndpointSpec, IdentitySpec

ACCOUNT = "/api/v1/namespaces/lab/serviceaccounts/identity-robot"
ROLE = {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/robot"}
AZURE = {"azure.workload.identity/client-id": "7"}


def one(kind, spec):
    id_ = ResourceId(kind=kind, workspace="demo", name=spec.name)
    return DesiredResource(id=id_, spec=spec, owner="shop")


def robot(**fields):
    return one(Kind.IDENTITY, IdentitySpec(workspace="demo", name="robot", **fields))


def apply(engine, *wanted):
    for each in wanted:
        engine.apply(each, ANN)


def up(engine, *, scheduling=None, **fields):
    """Apply a stack whose endpoint has the identity, apart from its traffic."""
    there = desired()
    blue = there[Kind.DEPLOYMENT]
    if scheduling:
        spec = type(blue.spec).model_validate({**dict(blue.spec), "scheduling": scheduling})
        blue = blue.model_copy(update={"spec": spec})
    iris = EndpointSpec(workspace="demo", name="iris", identity="robot")
    apply(engine, there[Kind.WORKSPACE], there[Kind.ENVIRONMENT], robot(**fields))
    apply(engine, one(Kind.ENDPOINT, iris), blue)


def blue_of(api):
    """Return the pods of the deployment, and their labels."""
    [path] = [path for path in api.objects if "/deployments/iris-blue-" in path]
    template = api.objects[path]["spec"]["template"]
    return template["spec"], template["metadata"]["labels"]


def test_pods_run_as_the_service_account_of_their_endpoints_identity(api, engine):
    up(engine, annotations=ROLE)
    account = api.objects[ACCOUNT]
    assert account["metadata"]["annotations"].items() >= ROLE.items()
    assert account["metadata"]["labels"]["pulumi-inference/role"] == "identity"
    assert account["automountServiceAccountToken"] is False
    pod, labels = blue_of(api)
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == (
        *("identity-robot", False),
    )
    assert "azure.workload.identity/use" not in labels
    assert "serviceAccountName" not in pod_specs(api)["inference-content"]


def test_pods_of_azures_workload_identity_have_its_label(api, engine):
    up(engine, annotations=AZURE)
    assert blue_of(api)[1]["azure.workload.identity/use"] == "true"


def test_a_service_account_that_a_deployment_names_comes_before_the_identitys(api, engine):
    account = {"apiVersion": "v1", "kind": "ServiceAccount"}
    about = {"name": "reader", "namespace": "lab", "resourceVersion": "1"}
    path = ACCOUNT.replace("identity-robot", "reader")
    api.objects[path] = {**account, "metadata": about}
    up(engine, annotations=AZURE, scheduling={"service_account": "reader"})
    pod, labels = blue_of(api)
    assert pod["serviceAccountName"] == "reader"
    assert "azure.workload.identity/use" not in labels


def test_a_change_of_an_identity_changes_its_account_and_its_removal_removes_it(api, engine):
    apply(engine, desired()[Kind.WORKSPACE], robot(annotations=ROLE))
    apply(engine, robot(annotations={"eks.amazonaws.com/role-arn": "other"}))
    told = api.objects[ACCOUNT]["metadata"]["annotations"]
    assert told["eks.amazonaws.com/role-arn"] == "other"
    engine.delete(robot().id, "shop", ANN)
    assert ACCOUNT not in api.objects


def test_an_account_that_was_deleted_is_there_again_with_the_next_instances(api, engine):
    up(engine)
    del api.objects[ACCOUNT]
    blue = desired()[Kind.DEPLOYMENT]
    more = blue.spec.model_copy(update={"instance_count": 2})
    apply(engine, blue.model_copy(update={"spec": more}))
    assert ACCOUNT in api.objects


def test_an_account_of_somebody_else_is_not_taken(api, engine):
    apply(engine, desired()[Kind.WORKSPACE])
    about = {"name": "identity-robot", "namespace": "lab", "resourceVersion": "1", "uid": "u"}
    theirs = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": about}
    api.objects[ACCOUNT] = theirs
    with pytest.raises(OwnedByAnother, match="identity-robot"):
        apply(engine, robot(annotations=ROLE))
    assert engine.record(robot().id) is None
