"""What every target keeps of one resource after another."""

import pytest

from inference_provider import start_stop
from inference_provider.desired import identify
from inference_provider.errors import OwnedByAnother, StillHolds, StillServing, TargetError
from inference_provider.observed import Claim, Kind, Presence
from inference_provider.plan import plan
from inference_provider.workspace.ports import silent
from tests.conformance.labs import ANN, BOB, MemoryLab, ToyLab, wait_until


def claimed(wanted, stack: str, incarnation: str):
    claim = Claim(holder=f"stack {stack}", entry=f"{stack}::x", incarnation=incarnation)
    return wanted.model_copy(update={"claim": claim})


def test_what_was_never_made_is_absent(lab):
    found = [lab.target.observe_one(wanted.id).presence for wanted in lab.desired]
    assert found == [Presence.ABSENT] * 6
    assert lab.target.observe([lab.workspace]).resources == {}
    assert lab.workspace not in lab.target.workspaces()


def test_deleting_what_is_not_there_does_nothing(lab):
    for wanted in lab.desired:
        lab.delete(wanted.id)
    assert lab.target.observe([lab.workspace]).journal == ()


def test_nothing_is_made_in_a_workspace_that_is_not_there(lab):
    for wanted in lab.desired[1:]:
        with pytest.raises(TargetError, match=r"it is not there"):
            lab.apply(wanted)
    assert not lab.ports.records.exists()


def test_what_is_applied_is_present_with_its_record(lab):
    for wanted in lab.desired:
        made = lab.target.apply(wanted, ANN)
        assert (made.id, made.presence) == (wanted.id, Presence.PRESENT)
        assert made.record is not None
        assert made.record.properties == wanted.properties
        assert (made.record.owner, made.record.actor) == ("demo", ANN)


def test_observe_returns_everything_of_the_workspace_and_no_other(served):
    w = served.workspace
    assert sorted(served.target.observe([w]).resources) == [
        f"Deployment/{w}/iris/blue",
        f"Endpoint/{w}/iris",
        f"Environment/{w}/plain:1",
        f"Model/{w}/iris:1",
        f"Traffic/{w}/iris",
        f"Workspace/{w}/{w}",
    ]
    assert served.target.observe(["other"]).resources == {}


def test_what_is_observed_needs_no_change(served):
    observed = served.target.observe([served.workspace])
    assert plan(served.desired, observed, "demo").pending == ()


def test_a_request_with_either_key_is_answered_and_with_another_it_is_not(served):
    primary, secondary = served.keys()
    assert [served.ask(key=key) for key in (primary, secondary, "wrong")] == [200, 200, 401]


def test_a_deployments_record_holds_its_generation(served):
    blue = served.of(Kind.DEPLOYMENT)
    assert served.target.record(blue.id).generation == blue.generation


def test_applying_twice_changes_nothing(served):
    before = {r.id: served.target.observe_one(r.id) for r in served.desired}
    instances = served.instances()
    for wanted in served.desired:
        again = served.target.apply(wanted, ANN)
        assert again.properties == before[wanted.id].properties
        assert again.outputs == before[wanted.id].outputs
        assert again.secret_outputs == before[wanted.id].secret_outputs
        assert again.record.generation == before[wanted.id].record.generation
    assert served.instances() == instances


def test_another_stack_is_refused(served):
    for wanted in served.desired:
        theirs = wanted.model_copy(update={"owner": "theirs"})
        with pytest.raises(OwnedByAnother, match="belongs to stack 'demo', not to 'theirs'"):
            served.target.apply(theirs, BOB)
        with pytest.raises(OwnedByAnother, match="belongs to stack 'demo', not to 'theirs'"):
            served.target.delete(wanted.id, "theirs", BOB)


def test_a_deployment_that_carries_weight_is_not_deleted(served):
    blue = served.of(Kind.DEPLOYMENT).id
    with pytest.raises(StillServing, match="it carries 100 % of the traffic; move its weight"):
        served.delete(blue)
    assert served.target.observe_one(blue).presence == Presence.PRESENT
    assert served.ask() == 200


def test_what_holds_something_is_not_deleted(served):
    with pytest.raises(StillHolds, match=r"/iris/blue', Traffic '\w+/iris' are behind it; delete"):
        served.delete(served.of(Kind.ENDPOINT).id)
    with pytest.raises(StillHolds, match=r"are in it; delete that first"):
        served.delete(served.of(Kind.WORKSPACE).id)
    assert served.ask() == 200


def test_traffic_to_a_deployment_that_is_not_there_is_refused(served):
    before = served.documents()
    with pytest.raises(TargetError, match=r"Deployment '\w+/iris/green' is not there; create it"):
        served.apply(served.traffic(blue=50, green=50))
    assert served.documents() == before


def test_a_deployment_without_its_endpoint_is_refused(served):
    before = served.documents()
    with pytest.raises(TargetError, match=r"Endpoint '\w+/gone' is not there; declare it first"):
        served.apply(served.deployment("blue", "gone"))
    assert served.documents() == before


def test_the_two_keys_differ_and_turn_one_at_a_time(served):
    endpoint = served.of(Kind.ENDPOINT).id
    first = served.keys()
    assert first[0] != first[1]
    turned = served.target.rotate_key(endpoint, "primary", BOB).secret_outputs
    second = served.keys()
    assert second[0] == turned["primary_key"].get_secret_value() != first[0]
    assert second[1] == first[1]
    assert [served.ask(key=key) for key in (first[0], *second)] == [401, 200, 200]
    served.target.rotate_key(endpoint, "secondary", BOB)
    third = served.keys()
    assert (third[0], third[1] != second[1]) == (second[0], True)


def test_keys_are_in_no_text_of_what_is_observed(served):
    keys, text = served.keys(), repr(served.target.observe([served.workspace]))
    assert [key for key in keys if key in text] == []


def test_a_key_of_no_endpoint_cannot_be_rotated(served):
    with pytest.raises(TargetError, match="it is not there; declare it"):
        served.target.rotate_key(served.id(Kind.ENDPOINT, "gone"), "primary", ANN)


def test_a_call_that_was_refused_is_in_the_journal_and_the_key_that_it_had_is_not(served):
    if isinstance(served, (MemoryLab, ToyLab)):
        pytest.skip("its router has no access log")
    assert [served.ask(key=key) for key in ("a-wrong-key", None)] == [401, 200]

    def refused():
        return [one for one in served.target.journal(served.workspace) if "401" in one.action]

    wait_until(refused)  # Envoy writes its log every 10 s
    assert [(one.action, one.id.name, one.actor.user != "") for one in refused()] == [
        ("1 call refused (401, no valid key or token) of", "iris", True)
    ]
    assert "a-wrong-key" not in str(refused())


def test_the_journal_names_who_did_what(served):
    served.target.rotate_key(served.of(Kind.ENDPOINT).id, "primary", BOB)
    served.apply(served.endpoint("iris", description="of flowers"))
    served.apply(served.traffic())
    served.delete(served.of(Kind.TRAFFIC).id)
    assert served.journal() == [
        f"create Workspace {served.workspace}",
        "create Model iris:1",
        "create Environment plain:1",
        "create Endpoint iris",
        "create Deployment iris/blue",
        "create Traffic iris",
        "rotate primary key Endpoint iris",
        "update Endpoint iris",
        "update Traffic iris",
        "delete Traffic iris",
    ]
    journal = served.target.observe([served.workspace]).journal
    assert [str(e.actor) for e in journal if e.action != "rotate primary key"] == [
        "ann (pytest)"
    ] * 9
    assert [e.actor for e in journal if e.action == "rotate primary key"] == [BOB]
    assert journal[7].fields == ("description",)


def test_a_claim_is_kept_by_who_claims_nothing_and_refuses_another_state(served):
    for wanted in served.desired:
        served.apply(claimed(wanted, "dev", "1"))
        served.apply(wanted)
        assert served.target.record(wanted.id).claim.incarnation == "1"
        with pytest.raises(OwnedByAnother, match="it is held by stack dev; use another workspace"):
            served.apply(claimed(wanted, "prod", "2"))


def test_a_deletion_by_an_older_incarnation_does_nothing_and_says_so(served):
    told = []
    for wanted in served.desired:
        served.apply(claimed(wanted, "dev", "1"))
    before = served.documents()
    for wanted in served.desired:
        served.target.delete(wanted.id, "demo", ANN, lambda _id, text: told.append(text), "0")
    assert served.documents() == before
    assert told == ["kept: another entry of the same stack stands for it"] * 6


def test_a_transfer_writes_the_owner_ends_the_claim_and_is_in_the_journal(served):
    endpoint = served.of(Kind.ENDPOINT)
    served.apply(claimed(endpoint, "dev", "1"))
    published = served.router.attempts
    served.target.transfer(endpoint.id, "heir", ANN)
    record = served.target.record(endpoint.id)
    assert (record.owner, record.claim) == ("heir", None)
    assert served.journal()[-1] == "transfer Endpoint iris"
    assert served.router.attempts == published


def test_one_who_holds_a_workspace_lets_go_of_it(served):
    for _ in range(2):
        with served.target.hold([served.workspace], ANN):
            pass


def test_a_second_one_who_wants_to_hold_a_workspace_is_told_who_does(served):
    other = served.another()
    with (
        served.target.hold([served.workspace], ANN),
        pytest.raises(TargetError, match=r"ann \(pytest\) has been changing it"),
        other.hold([served.workspace], BOB),
    ):
        pass


def test_stop_ends_what_runs_and_start_brings_it_back_with_the_same_keys(served):
    served.apply(served.deployment("green"))
    keys, address, said = served.keys(), served.router.address(), []
    one = (served.workspace,)
    start_stop.stop(one, served.target, ANN, silent, said.append, parallel=2)
    start_stop.start(one, served.target, ANN, silent, said.append, parallel=2)
    assert (served.keys(), served.router.address().url) == (keys, address.url)
    assert served.ask() == 200
    assert [len(served.instances(f"iris/{name}")) for name in ("blue", "green")] == [1, 1]
    assert said == [served.workspace, served.workspace]
    assert served.journal()[-2:] == [
        f"{act} Workspace {served.workspace}" for act in ("stop", "start")
    ]


def test_all_goes_in_reverse_and_is_absent(served):
    for wanted in reversed(served.desired):
        served.delete(wanted.id)
        assert served.target.observe_one(wanted.id).presence == Presence.ABSENT
    assert served.target.observe([served.workspace]).resources == {}
    assert served.workspace not in served.target.workspaces()


def test_a_workspace_that_went_is_made_again_with_nothing_in_it(served):
    for wanted in reversed(served.desired):
        served.delete(wanted.id)
    served.apply(served.of(Kind.WORKSPACE))
    assert served.journal() == [f"create Workspace {served.workspace}"]
    assert [*served.target.observe([served.workspace]).resources] == [
        identify(Kind.WORKSPACE, served.of(Kind.WORKSPACE).spec).address
    ]
