"""Keys that are gone or cannot be read: nobody else gets in, and the next apply mends it."""

import pytest

from inference_provider.errors import TargetError
from inference_provider.observed import Kind
from inference_provider.plan import plan
from tests.conformance.labs import ANN

KEYS = "keys"


def lose(lab):
    lab.ports.records.drop(KEYS, "iris")


def spoil(lab):
    lab.ports.records.put(KEYS, "iris", '{"primary": "half a k')


def empty(lab):
    lab.ports.records.put(KEYS, "iris", "{}")


@pytest.fixture(params=[lose, spoil, empty])
def bare(request, served):
    """A lab whose endpoint iris has no keys that can be read, and the keys before."""
    old = served.keys()
    request.param(served)
    return served, old


def test_an_endpoint_without_keys_is_degraded_and_nothing_else_is(bare):
    lab, _ = bare
    found = lab.target.observe([lab.workspace]).resources.values()
    assert {one.id.kind: one.degraded for one in found if one.degraded} == {
        Kind.ENDPOINT: "its keys are gone"
    }
    assert lab.target.observe_one(lab.id(Kind.ENDPOINT, "iris")).secret_outputs == {}


def test_an_endpoint_without_keys_is_to_be_updated(bare):
    lab, _ = bare
    planned = plan(lab.desired, lab.target.observe([lab.workspace]), "demo")
    assert [f"{one.kind.value} {one.id.kind}" for one in planned.pending] == ["update Endpoint"]


def test_other_changes_work_while_keys_are_gone_and_let_nobody_else_in(bare):
    lab, _ = bare
    lab.apply(lab.endpoint("rose"))
    lab.apply(lab.deployment(environment_variables={"A": "2"}))
    lab.apply(lab.deployment("green"))
    lab.delete(lab.id(Kind.DEPLOYMENT, "iris/green"))
    assert lab.ask("rose") == 404
    # a target may keep the keys that are in force until there are new ones, and knows no others
    assert [lab.ask(key=key) for key in ("wrong", "None", "x")] == [401] * 3


def test_applying_the_endpoint_makes_new_keys(bare):
    lab, old = bare
    lab.apply(lab.endpoint("iris"))
    new = lab.keys()
    assert not set(new) & set(old)
    assert [lab.ask(key=key) for key in (*new, *old)] == [200, 200, 401, 401]


def test_one_key_of_none_is_not_rotated(bare):
    lab, _ = bare
    with pytest.raises(TargetError, match="its keys are gone; apply the stack again, which makes"):
        lab.target.rotate_key(lab.id(Kind.ENDPOINT, "iris"), "primary", ANN)


OWN, OTHER = "a-key-of-ours-4711", "another-key-of-ours"


def test_a_key_of_the_users_own_is_taken_beside_a_generated_one(served):
    before = served.keys()
    served.apply(served.endpoint("iris", keys={"primary": OWN}))
    assert served.keys() == (OWN, before[1])
    assert [served.ask(key=key) for key in (OWN, *before)] == [200, 401, 200]
    served.apply(served.endpoint("iris", keys={"primary": OTHER}))
    assert [served.ask(key=key) for key in (OTHER, OWN, before[1])] == [200, 401, 200]
    served.apply(served.endpoint("iris"))
    assert (served.ask(key=OTHER), served.keys()[1]) == (401, before[1])
    now = served.keys()
    assert [served.ask(key=key) for key in now] == [200, 200]


def test_a_key_of_the_users_own_is_changed_in_the_stack_alone(served):
    served.apply(served.endpoint("iris", keys={"primary": OWN}))
    endpoint = served.id(Kind.ENDPOINT, "iris")
    with pytest.raises(TargetError) as refused:
        served.target.rotate_key(endpoint, "primary", ANN)
    assert str(refused.value).endswith(
        "the stack that made it says what its primary key is;"
        " change keys.primary there, and apply that"
    )
    served.target.rotate_key(endpoint, "secondary", ANN)
    assert served.keys()[0] == OWN


def test_another_count_of_rotations_makes_another_key_once(served):
    before = served.keys()
    served.apply(served.endpoint("iris", key_rotations={"secondary": 1}))
    after = served.keys()
    assert (after[0], after[1] != before[1]) == (before[0], True)
    assert [served.ask(key=key) for key in (*after, before[1])] == [200, 200, 401]
    served.apply(served.endpoint("iris", key_rotations={"secondary": 1}, description="of flowers"))
    assert served.keys() == after
    served.target.rotate_key(served.id(Kind.ENDPOINT, "iris"), "primary", ANN)
    planned = plan(
        [served.endpoint("iris", key_rotations={"secondary": 1}, description="of flowers")],
        served.target.observe([served.workspace]),
        "demo",
    )
    assert [str(one.id) for one in planned.pending if one.id.kind == Kind.ENDPOINT] == []


def test_an_endpoint_whose_record_is_lost_keeps_its_keys_whatever_was_rotated(served):
    rotated = served.endpoint("iris", key_rotations={"secondary": 1})
    served.apply(rotated)
    before = served.keys()
    with served.ports.records.edit():
        served.ports.records.drop("records", "Endpoint.iris")
    served.apply(rotated)
    assert served.keys() == before
    assert [served.ask(key=key) for key in before] == [200, 200]
    served.apply(served.endpoint("iris", key_rotations={"secondary": 2}))
    assert served.keys()[0] == before[0]
    assert served.keys()[1] != before[1]


def test_a_count_that_is_lower_makes_another_key_and_one_that_is_left_out_makes_none(served):
    served.apply(served.endpoint("iris", key_rotations={"primary": 2, "secondary": 2}))
    before = served.keys()
    served.apply(served.endpoint("iris"))
    assert served.keys() == before
    assert [served.ask(key=key) for key in before] == [200, 200]
    served.apply(served.endpoint("iris", key_rotations={"primary": 2}))
    served.apply(served.endpoint("iris", key_rotations={"primary": 1}))
    assert (served.keys()[0] != before[0], served.keys()[1]) == (True, before[1])


def test_an_endpoint_without_keys_is_deleted(bare):
    lab, _ = bare
    for wanted in reversed(lab.desired[3:]):
        lab.delete(wanted.id)
    assert lab.documents()[KEYS] == {}
    assert lab.ask("iris", key="any") == 404
