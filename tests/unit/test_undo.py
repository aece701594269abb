"""A change of one resource's files is whole, or put back."""

import pytest
from pydantic import SecretStr

from inference_provider.observed import Kind, ResourceId
from inference_provider.targets.local.store import Instance, Store
from inference_provider.targets.local.undo import put_back_on_failure

BLUE = ResourceId(kind=Kind.DEPLOYMENT, workspace="lab", name="iris/blue")


class Refused(Exception):
    pass


def held(store):
    secrets = [secret.get_secret_value() for secret in store.placeholders(BLUE)]
    return secrets, store.blueprint("iris/blue"), store.instances("iris/blue")


def change(store, word, instances):
    store.save_placeholders(BLUE, (SecretStr(word),))
    store.save_blueprint("iris/blue", {"name": word})
    store.save_instances("iris/blue", instances)


@pytest.mark.parametrize("fault", [Refused, KeyboardInterrupt])
def test_what_stood_before_is_put_back_with_its_secrets_whatever_was_raised(tmp_path, fault):
    store = Store(tmp_path, "lab")
    one = Instance(name="iris.blue.g.0", generation="g", port=1)
    change(store, "old", (one,))
    with pytest.raises(fault), put_back_on_failure(store, BLUE):
        change(store, "new", ())
        raise fault
    assert held(store) == (["old"], {"name": "old"}, (one,))


def test_what_was_not_there_before_is_taken_away_again(tmp_path):
    store = Store(tmp_path, "lab")
    with pytest.raises(Refused), put_back_on_failure(store, BLUE):
        change(store, "new", ())
        raise Refused
    assert held(store) == ([], None, ())


def test_a_change_that_succeeds_stays(tmp_path):
    store = Store(tmp_path, "lab")
    with put_back_on_failure(store, BLUE):
        change(store, "new", ())
    assert held(store) == (["new"], {"name": "new"}, ())
