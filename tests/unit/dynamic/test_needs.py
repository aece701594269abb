"""Check refuses what names a resource that neither the program nor the target has."""

from pulumi.output import UNKNOWN
from tests.memory import ANN, with_workspace
from tests.providers import PLAIN, THERE, checked, failures

from inference_provider.desired import DesiredResource, identify
from inference_provider.dynamic import base
from inference_provider.dynamic.connection import ConnectionProvider
from inference_provider.dynamic.deployment import DeploymentProvider
from inference_provider.dynamic.endpoint import EndpointProvider
from inference_provider.dynamic.traffic import TrafficProvider
from inference_provider.dynamic.workspace import WorkspaceProvider
from inference_provider.errors import TargetUnreachable
from inference_provider.handlers import Program, held
from inference_provider.handlers.needs import Needs
from inference_provider.handlers.places import Site
from inference_provider.observed import Kind
from inference_provider.spec import EndpointSpec


def test_a_workspace_left_out_is_refused_where_the_program_declares_another(empty):
    checked(WorkspaceProvider(), name="edge", target="memory")

    assert failures(EndpointProvider(), **THERE, name="echo") == [
        (
            "",
            "workspace: Workspace 'default' is not there; this program declares 'edge'; "
            "write workspace='edge'",
        )
    ]
    checked(EndpointProvider(), **THERE, name="echo", workspace="edge")
    checked(EndpointProvider(), **THERE, name="echo", workspace=UNKNOWN)


def test_a_workspace_of_another_program_needs_no_declaration(target):
    WorkspaceProvider().create(checked(WorkspaceProvider(), name="theirs", target="memory"))
    base.open_targets_with(lambda _place: target)  # another program
    checked(WorkspaceProvider(), name="mine", target="memory")

    checked(EndpointProvider(), **THERE, name="echo", workspace="theirs")


def test_a_weight_on_a_deployment_that_nobody_makes_is_refused(target):
    checked(WorkspaceProvider(), name="default", target="memory")
    checked(EndpointProvider(), **THERE, name="echo")
    checked(DeploymentProvider(), **THERE, name="blue", endpoint="echo", **PLAIN)

    split = {"blue": 90, "gren": 10, "gone": 0}
    assert failures(TrafficProvider(), **THERE, endpoint="echo", traffic=split) == [
        (
            "",
            "traffic.gren: Deployment 'default/echo/gren' is not there; "
            "declare it in the program, above this, or correct the name",
        )
    ]
    checked(TrafficProvider(), **THERE, endpoint="echo", traffic={"blue": 100, "gone": 0})
    assert failures(TrafficProvider(), **THERE, endpoint="echo", mirror_traffic={"gren": 10}) != []


def test_an_endpoint_that_nobody_makes_is_refused(target):
    checked(WorkspaceProvider(), name="default", target="memory")

    assert failures(DeploymentProvider(), **THERE, name="blue", endpoint="echo", **PLAIN) == [
        (
            "",
            "endpoint: Endpoint 'default/echo' is not there; "
            "declare it in the program, above this, or correct the name",
        )
    ]
    checked(DeploymentProvider(), **THERE, name="blue", endpoint=UNKNOWN, **PLAIN)


def test_all_that_a_resource_names_is_looked_for_but_assets(target):
    with_workspace(target)
    needs = Needs(Program(), Site("memory", target))

    def missing(kind, **fields):
        return [fault.path for fault in needs.missing(kind, {"workspace": "default", **fields})]

    assert missing(Kind.ENDPOINT, name="iris", identity="robot") == ["identity"]
    may = {"principal": "robot", "role": "r"}
    assert missing(Kind.ROLE_ASSIGNMENT, **may, scope="endpoints/iris") == ["principal", "scope"]
    assert missing(Kind.ROLE_ASSIGNMENT, **may, principal_type="user") == []
    rule = {"endpoint": "iris", "deployment": "blue"}
    assert missing(Kind.AUTOSCALE_RULE, **rule) == ["endpoint"]
    target.apply(desired_endpoint("iris"), ANN)
    assert missing(Kind.AUTOSCALE_RULE, **rule) == ["deployment"]
    assert missing(Kind.AUTOSCALE_RULE, **{**rule, "deployment": held.UNKNOWN}) == []
    assert missing(Kind.DEPLOYMENT, **PLAIN, endpoint="iris", model="gone:1") == []


def test_what_a_target_that_does_not_answer_has_is_not_missing(target, monkeypatch):
    def silent(_resource):
        raise TargetUnreachable("read", "the records", "it does not answer")

    monkeypatch.setattr(target, "is_recorded", silent)
    monkeypatch.setattr(target, "record", silent)
    needs = Needs(Program(), Site("memory", target))
    rule = {"workspace": "default", "endpoint": "iris", "deployment": "blue"}
    assert [*needs.missing(Kind.AUTOSCALE_RULE, rule)] == []
    hub = {"workspace": "default", "name": "hub", "stored_credentials": {"key": "HUB_KEY"}}
    assert [*needs.missing(Kind.CONNECTION, hub)] == []


def desired_endpoint(name):
    spec = EndpointSpec(name=name)
    return DesiredResource(id=identify(Kind.ENDPOINT, spec), spec=spec, owner="s")


def test_credentials_that_do_not_fit_the_workspaces_secret_store_are_refused(empty):
    store = {"secret_store": {"kind": "environment"}}
    checked(WorkspaceProvider(), name="default", target="memory", **store)

    def faults(**fields):
        return failures(ConnectionProvider(), **THERE, name="hub", **fields)

    only_read = (
        "credentials: secret_store environment is read-only;"
        " leave key out, and say in stored_credentials where each is"
    )
    assert faults(credentials={"key": "k"}) == [("", only_read)]
    assert faults(credentials={"key": UNKNOWN}) == [("", only_read)]
    [(_, said)] = faults(stored_credentials={"key": "no variable", "other": UNKNOWN})
    assert said.startswith("stored_credentials.key: 'no variable' does not name an environment")
    checked(ConnectionProvider(), **THERE, name="hub", stored_credentials={"key": "HUB_KEY"})
    checked(ConnectionProvider(), **THERE, name="hub", stored_credentials={"key": UNKNOWN})
    checked(ConnectionProvider(), **THERE, name="hub", credentials=UNKNOWN)


def test_a_workspace_of_another_program_says_which_secret_store_there_is(target):
    stored = {"stored_credentials": {"key": "HUB_KEY"}}
    [(_, said)] = failures(ConnectionProvider(), **THERE, name="hub", **stored)
    assert said.startswith("stored_credentials: the workspace's secret_store is encrypted_file")


def test_credentials_of_a_workspace_whose_secret_store_is_not_known_yet_are_not_refused(empty):
    store = {"secret_store": {"kind": UNKNOWN}}
    checked(WorkspaceProvider(), name="default", target="memory", **store)
    checked(ConnectionProvider(), **THERE, name="hub", stored_credentials={"key": "HUB_KEY"})
