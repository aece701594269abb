"""Two who change a workspace at once: nothing is lost, and one thing changes once at a time."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from inference_provider.errors import Busy, NotReady, OwnedByAnother, TargetError
from inference_provider.observed import Claim, Kind
from tests.conformance.labs import ANN, BOB, together, wait_until

NAMES = [f"e-{number}" for number in range(6)]


@pytest.fixture
def both(served):
    """Two targets on one state."""
    return served.target, served.another()


def test_what_one_writes_the_other_sees(served, both):
    first, second = both
    first.apply(served.endpoint("rose"), ANN)
    assert second.record(served.id(Kind.ENDPOINT, "rose")).actor == ANN
    second.delete(served.id(Kind.ENDPOINT, "rose"), "demo", BOB)
    wait_until(lambda: first.record(served.id(Kind.ENDPOINT, "rose")) is None, 3)
    assert served.journal()[-2:] == ["create Endpoint rose", "delete Endpoint rose"]


def test_two_who_make_different_things_lose_none(served, both):
    def make(target, names):
        for name in names:
            target.apply(served.endpoint(name), ANN)

    raised = together(lambda: make(both[0], NAMES[::2]), lambda: make(both[1], NAMES[1::2]))
    assert raised == [None, None]
    endpoints = [record.id.name for record in served.state.of_kind(Kind.ENDPOINT)]
    assert endpoints == [*NAMES, "iris"]
    # without traffic there is nowhere to send it: 404 to who has the key, 401 to who has not
    assert [served.ask(name, key="wrong") for name in (*NAMES, "iris")] == [401] * 7
    assert [served.ask(name) for name in (*NAMES, "iris")] == [404] * 6 + [200]
    assert sorted(served.journal()[6:]) == [f"create Endpoint {name}" for name in NAMES]


def test_two_who_roll_different_deployments_lose_none(served, both):
    blue = served.deployment("blue", environment_variables={"A": "2"})
    green = served.deployment("green", instance_count=2)
    raised = together(lambda: both[0].apply(blue, ANN), lambda: both[1].apply(green, BOB))
    assert raised == [None, None]
    assert [*served.instances("iris/blue").values()] == [blue.generation]
    assert [*served.instances("iris/green").values()] == [green.generation] * 2
    healthy = served.router.status().healthy
    assert healthy == {"iris/blue": 1, "iris/green": 2}
    assert served.ask() == 200


def test_one_who_makes_and_one_who_deletes_lose_nothing(served, both):
    served.apply(*(served.endpoint(name) for name in NAMES[::2]))

    def make():
        for name in NAMES[1::2]:
            both[0].apply(served.endpoint(name), ANN)

    def delete():
        for name in NAMES[::2]:
            both[1].delete(served.id(Kind.ENDPOINT, name), "demo", BOB)

    assert together(make, delete) == [None, None]
    endpoints = [record.id.name for record in served.state.of_kind(Kind.ENDPOINT)]
    assert endpoints == [*NAMES[1::2], "iris"]
    assert [served.ask(name, key="wrong") for name in NAMES] == [404, 401, 404, 401, 404, 401]


def test_two_who_change_the_same_deployment_go_one_after_the_other(served, both):
    wanted = [served.deployment(environment_variables={"A": a}) for a in ("2", "3")]
    raised = together(lambda: both[0].apply(wanted[0], ANN), lambda: both[1].apply(wanted[1], BOB))
    assert raised == [None, None]
    record = served.target.record(wanted[0].id)
    assert record.generation in {one.generation for one in wanted}
    assert [*served.instances().values()] == [record.generation]
    assert served.journal()[6:] == ["update Deployment iris/blue"] * 2
    assert served.ask() == 200


def test_two_who_change_the_same_endpoint_are_both_in_the_journal_and_one_is_in_force(served, both):
    texts = ("of flowers", "of eyes")
    raised = together(
        *(
            lambda target=target, text=text: target.apply(
                served.endpoint("iris", description=text), ANN
            )
            for target, text in zip(both, texts, strict=True)
        )
    )
    assert raised == [None, None]
    record = served.target.record(served.id(Kind.ENDPOINT, "iris"))
    assert record.properties["description"] in texts
    assert served.journal()[6:] == ["update Endpoint iris"] * 2


def test_two_who_make_the_same_endpoint_at_once_have_the_same_keys(served, both):
    made = {}

    def make(number):
        made[number] = both[number].apply(served.endpoint("rose"), ANN).secret_outputs

    assert together(lambda: make(0), lambda: make(1)) == [None, None]
    assert made[0] == made[1]
    assert served.ask("rose", served.keys("rose")[0]) == 404


@pytest.mark.parametrize("kind", ["Endpoint", "Deployment"])
def test_of_two_who_make_the_same_at_once_one_creates_and_one_updates(served, both, kind):
    made = served.endpoint("rose") if kind == "Endpoint" else served.deployment("green")
    makers = [threading.Thread(target=one.apply, args=(made, ANN)) for one in both]
    with served.ports.records.edit():  # both have seen that it is not there
        for maker in makers:
            maker.start()
        makers[0].join(0.5)
    for maker in makers:
        maker.join(20)
    name = f"{kind} {made.id.name}"
    assert served.journal()[6:] == [f"create {name}", f"update {name}"]


def test_two_who_make_the_same_workspace_at_once_make_one(lab):
    other = lab.another()
    workspace = lab.of(Kind.WORKSPACE)
    raised = together(lambda: lab.target.apply(workspace, ANN), lambda: other.apply(workspace, BOB))
    assert raised == [None, None]
    lab.apply(*lab.desired[1:])
    assert lab.ask() == 200


def test_one_whose_start_fails_undoes_nothing_of_the_other(served, both):
    bad = served.deployment("green", environment_variables={"FAIL": "1"})
    raised = together(
        lambda: both[0].apply(bad, ANN), lambda: both[1].apply(served.endpoint("rose"), BOB)
    )
    assert isinstance(raised[0], NotReady)
    assert raised[1] is None
    assert served.ask("rose", key="wrong") == 401
    assert served.target.record(bad.id) is None


def test_a_deployment_whose_endpoint_goes_while_it_starts_is_refused_and_leaves_nothing(
    served, both
):
    served.apply(served.endpoint("idle"))
    documents = served.documents()

    def delete_the_endpoint(_id, told):
        if told.endswith("new instances ready"):
            both[1].delete(served.id(Kind.ENDPOINT, "idle"), "demo", BOB)

    wanted = served.deployment("green", "idle")
    with pytest.raises(TargetError, match=r"Endpoint 'lab\w+/idle' is not there; declare it first"):
        both[0].apply(wanted, ANN, delete_the_endpoint)
    assert served.instances("idle/green") == {}
    del documents["records"]["Endpoint.idle"], documents["keys"]["idle"]
    assert served.documents() == documents


def test_what_another_stack_takes_over_while_its_deletion_waits_stays(served, both):
    green = served.deployment("green")
    served.apply(green)
    raised = []

    def delete():
        try:
            both[0].delete(green.id, "demo", ANN)
        except OwnedByAnother as fault:
            raised.append(str(fault))

    deleter = threading.Thread(target=delete)
    with served.ports.records.lock("deployment.iris.green"):
        deleter.start()
        deleter.join(0.2)
        assert deleter.is_alive()
        both[1].transfer(green.id, "heir", BOB)
    deleter.join(20)
    assert [told.partition(";")[0] for told in raised] == [
        f"delete Deployment '{served.workspace}/iris/green': it belongs to stack 'heir', not to"
        " 'demo'"
    ]
    assert len(served.instances("iris/green")) == 1
    assert served.target.record(green.id).owner == "heir"


@pytest.mark.parametrize("kind", [Kind.ENVIRONMENT, Kind.TRAFFIC, Kind.WORKSPACE])
def test_what_a_state_creates_again_while_its_deletion_waits_stays(lab, kind):
    lab.apply(*lab.desired)
    wanted = lab.of(kind)
    lab.apply(wanted.model_copy(update={"claim": held("1")}))
    deleter = ThreadPoolExecutor(1)
    with lab.ports.records.edit():
        gone = deleter.submit(lab.target.delete, wanted.id, "demo", ANN, incarnation="1")
        wait([gone], 0.3)
        record = lab.state.record(wanted.id)
        lab.state.put_record(record.model_copy(update={"claim": held("2")}))
    with pytest.raises(Busy, match="it was created again meanwhile; run this again"):
        gone.result(20)
    assert lab.target.record(wanted.id).claim.incarnation == "2"


def held(incarnation: str) -> Claim:
    return Claim(holder="stack dev", entry="urn", incarnation=incarnation)


def test_two_who_delete_the_same_deployment_at_once_are_both_done(served, both):
    green = served.deployment("green")
    served.apply(green)
    raised = together(*(lambda one=one: one.delete(green.id, "demo", ANN) for one in both))
    assert raised == [None, None]
    assert served.instances("iris/green") == {}
    assert served.target.record(green.id) is None


def test_two_keys_turned_at_once_are_both_new(served, both):
    endpoint, old = served.id(Kind.ENDPOINT, "iris"), served.keys()
    raised = together(
        lambda: both[0].rotate_key(endpoint, "primary", ANN),
        lambda: both[1].rotate_key(endpoint, "secondary", BOB),
    )
    assert raised == [None, None]
    assert not set(served.keys()) & set(old)
    assert [served.ask(key=key) for key in (*served.keys(), *old)] == [200, 200, 401, 401]


OTHER_PROCESS = """
import sys
from pathlib import Path
from tests.conformance.labs import ANN, LocalLab
folder, workspace = Path(sys.argv[1]), sys.argv[2]
lab = LocalLab(LocalLab.open(folder), folder, workspace)
print("ready", flush=True)
sys.stdin.readline()
for name in sys.argv[3:]:
    lab.apply(lab.endpoint(name))
lab.apply(lab.deployment("green"))
"""


@pytest.mark.local
def test_two_processes_that_change_a_workspace_lose_nothing(opened, served):
    kind, _, folder = opened
    if kind.__name__ != "LocalLab":
        pytest.skip("its state is this process's")
    command = [sys.executable, "-c", OTHER_PROCESS, str(folder), served.workspace, *NAMES[::2]]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "ready\n"
        other.stdin.write("go\n")
        other.stdin.flush()
        for name in NAMES[1::2]:
            served.apply(served.endpoint(name))
        served.apply(served.deployment("blue", environment_variables={"A": "2"}))
        assert other.wait(60) == 0
    endpoints = [record.id.name for record in served.state.of_kind(Kind.ENDPOINT)]
    assert endpoints == [*NAMES, "iris"]
    assert [served.ask(name, key="wrong") for name in NAMES] == [401] * 6
    assert served.router.status().healthy == {"iris/blue": 1, "iris/green": 1}
