"""A change that is refused or interrupted undoes all of itself, whatever was raised."""

import pytest
from pydantic import SecretStr

from inference_provider.errors import InferenceError, RouterRejected
from inference_provider.observed import Kind
from tests.conformance.labs import ANN

REFUSALS = [
    RouterRejected("it is of another opinion"),
    OSError("no space left on device"),
    ZeroDivisionError("a fault of ours"),
    KeyboardInterrupt("somebody pressed Ctrl-C"),
]


def rotate(lab):
    lab.target.rotate_key(lab.id(Kind.ENDPOINT, "iris"), "secondary", ANN)


def scale(lab, count):
    lab.apply(lab.deployment(instance_count=count))


CHANGES = {
    "a new endpoint": lambda lab: lab.apply(lab.endpoint("rose")),
    "an endpoint": lambda lab: lab.apply(lab.endpoint("iris", description="of flowers")),
    "a new deployment": lambda lab: lab.apply(lab.deployment("red")),
    "a new generation": lambda lab: lab.apply(lab.deployment(environment_variables={"A": "2"})),
    "a scale out": lambda lab: scale(lab, 2),
    "a scale in": lambda lab: scale(lab, 0),
    "traffic": lambda lab: lab.apply(lab.traffic(blue=40, green=60)),
    "the deletion of traffic": lambda lab: lab.delete(lab.id(Kind.TRAFFIC, "iris")),
    "the deletion of a deployment": lambda lab: lab.delete(lab.id(Kind.DEPLOYMENT, "iris/green")),
    "the deletion of an endpoint": lambda lab: lab.delete(lab.id(Kind.ENDPOINT, "idle")),
    "a new key": rotate,
}


@pytest.fixture
def garden(served):
    """A lab with an endpoint of two deployments and an idle one."""
    served.apply(served.deployment("green", instance_count=0), served.endpoint("idle"))
    return served


def refuse(lab, fault):
    def before(_endpoints):
        raise fault

    lab.router.before = before


@pytest.mark.parametrize("change", CHANGES)
def test_a_refused_change_undoes_all_of_itself_and_the_next_one_works(garden, change):
    documents, journal = garden.documents(), garden.journal()
    instances, status = garden.ports.compute.status(), garden.router.status()
    for fault in REFUSALS:
        refuse(garden, fault)
        with pytest.raises(type(fault)) as caught:
            CHANGES[change](garden)
        garden.router.before = lambda _endpoints: None
        assert caught.value is fault
        assert garden.documents() == documents, fault
        assert garden.ports.compute.status() == instances, fault
        assert garden.router.status() == status, fault
        assert garden.journal() == journal, fault
        assert garden.ask() == 200
    CHANGES[change](garden)
    assert garden.documents() != documents
    assert len(garden.journal()) == len(journal) + 1


def test_a_deletion_is_done_though_the_router_refuses_to_drop_what_is_drained(garden):
    def refuse_the_second(_endpoints):
        def second(_endpoints):
            raise RouterRejected("it keeps what it has")

        garden.router.before = second

    garden.router.before = refuse_the_second
    green = garden.deployment("green").id
    garden.delete(green)
    garden.router.before = lambda _endpoints: None
    assert garden.target.record(green) is None
    assert garden.instances("iris/green") == {}
    assert garden.ask() == 200


def test_a_workspace_whose_first_table_is_refused_is_not_there(lab):
    refuse(lab, RouterRejected("it is of another opinion"))
    with pytest.raises(RouterRejected):
        lab.apply(lab.of(Kind.WORKSPACE))
    assert not lab.ports.records.exists()
    assert lab.workspace not in lab.target.workspaces()
    lab.router.before = lambda _endpoints: None
    lab.apply(lab.of(Kind.WORKSPACE))
    assert lab.journal() == [f"create Workspace {lab.workspace}"]


def test_a_refused_change_of_a_workspace_keeps_what_was_recorded(served):
    documents = served.documents()
    refuse(served, RouterRejected("it is of another opinion"))
    with pytest.raises(InferenceError):
        served.apply(served.space(description="of flowers"))
    assert served.documents() == documents


def test_placeholders_are_undone_with_their_record(served):
    secret = served.deployment(description="of Ana").model_copy(
        update={"placeholders": (SecretStr("Ana"),)}
    )
    served.apply(secret)
    documents = served.documents()
    assert list(documents["placeholders"]) == ["Deployment.iris/blue"]
    refuse(served, RouterRejected("it is of another opinion"))
    with pytest.raises(RouterRejected):
        served.apply(served.deployment(description="of flowers"))
    assert served.documents() == documents


def test_placeholders_go_when_nothing_stands_for_them(served):
    documents = served.documents()
    named = served.deployment("green", description="of Ana").model_copy(
        update={"placeholders": (SecretStr("Ana"),)}
    )
    served.apply(named)
    served.apply(served.deployment("green", description="of flowers"))
    assert served.documents()["placeholders"] == {}
    served.apply(named)
    served.delete(named.id)
    assert served.documents() == documents


def test_an_edit_undoes_its_puts_and_drops_last_first(lab):
    lab.apply(lab.of(Kind.WORKSPACE))
    records = lab.ports.records
    records.put("keys", "kept", "one")
    before = lab.documents()
    with pytest.raises(KeyboardInterrupt), records.edit():
        records.put("keys", "kept", "two")
        records.drop("keys", "kept")
        records.put("keys", "kept", "three")
        records.put("keys", "fresh", "x")
        records.drop("keys", "gone")
        raise KeyboardInterrupt
    assert lab.documents() == before


def test_a_part_of_an_edit_fails_alone(lab):
    lab.apply(lab.of(Kind.WORKSPACE))
    records = lab.ports.records
    with records.edit():
        records.put("keys", "first", "1")
        with pytest.raises(ZeroDivisionError), records.edit():
            records.drop("keys", "first")
            records.put("keys", "second", "2")
            raise ZeroDivisionError
        records.put("keys", "third", "3")
    assert lab.documents()["keys"] == {"first": b"1", "third": b"3"}


def test_a_part_that_went_well_is_undone_with_the_whole(lab):
    lab.apply(lab.of(Kind.WORKSPACE))
    records, before = lab.ports.records, lab.documents()
    with pytest.raises(ZeroDivisionError), records.edit():
        with records.edit():
            records.put("keys", "first", "1")
        raise ZeroDivisionError
    assert lab.documents() == before


def test_a_document_that_did_not_change_is_the_same_object(served):
    records = served.ports.records
    first = records.section("records")
    served.apply(served.endpoint("rose"))
    second = records.section("records")
    assert [name for name in first if first[name] is not second[name]] == []
