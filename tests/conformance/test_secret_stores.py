"""Credentials that a secret store beside the workspace has, and the workspace has not."""

import json

import pytest

from inference_provider.desired import DesiredResource
from inference_provider.drift import drift
from inference_provider.errors import (
    PermissionMissing,
    SecretsInjectionError,
    SecretStoreUnreachable,
    TargetError,
)
from inference_provider.observed import Actor, Kind, Presence
from inference_provider.plan import plan
from inference_provider.secret_stores.environment import EnvironmentSecrets
from inference_provider.spec import RoleAssignmentSpec

SECRET, OTHER = "a-secret-of-4711", "another-secret-of-4712"
ANN = Actor(user="ann", command="test")
STORE = {"kind": "environment"}
ASKED = {"OPENAI_KEY": "${{azureml://connections/hub/credentials/key}}"}


def asking(lab):
    return lab.deployment(environment_variables=ASKED)


def hub(lab, place="HUB_KEY", **fields):
    return lab.connection(category="ApiKey", stored_credentials={"key": place}, **fields)


def inside(lab, secret=SECRET):
    return lab.connection(category="ApiKey", credentials={"key": secret})


class Variables(dict):
    """Variables of whoever runs a command, and how often somebody asked for any."""

    asked = 0

    def get(self, name, default=None):
        self.asked += 1
        return super().get(name, default)


_AGAIN = ".*, then run this again: new instances need the value"


@pytest.fixture
def store(lab):
    found = Variables(HUB_KEY=SECRET)
    lab.target.open_store = lambda _settings: EnvironmentSecrets(found)
    return found


@pytest.fixture
def stored(lab, store):
    """A lab whose instance gets a key that its workspace does not have."""
    space = lab.space(secret_store=STORE)
    lab.apply(space, hub(lab), *lab.with_secrets(asking(lab)))
    return lab


def test_a_rollout_reads_a_secret_store_once_and_starts_with_what_it_recorded(lab, store):
    lab.apply(lab.space(secret_store=STORE), hub(lab), *lab.with_secrets(lab.deployment()))
    store.asked = 0
    lab.apply(asking(lab))
    assert store.asked == 1
    assert lab.sets("OPENAI_KEY", SECRET)


def planned(lab, *desired):
    state = lab.target.observe([lab.workspace])
    there = (lab.space(secret_store=STORE), *lab.desired[1:], lab.secrets_reader(), *desired)
    found = {one.id: one for one in there}
    actions = plan(found.values(), state, "demo").pending
    return [f"{one.kind.value} {one.id.kind}" for one in actions]


def found_wrong(lab):
    return lab.target.observe_one(lab.id(Kind.CONNECTION, "hub"))


def test_an_instance_gets_what_the_store_has_and_no_document_has_it(stored):
    assert stored.sets("OPENAI_KEY", SECRET)
    kept = json.dumps(
        {
            section: {name: document.decode() for name, document in documents.items()}
            for section, documents in stored.documents().items()
        }
    )
    assert SECRET not in kept
    assert json.loads(stored.documents()["credentials"]["hub"])["about"]["stored"] == {
        "key": "HUB_KEY"
    }
    assert planned(stored, hub(stored), asking(stored)) == []


def test_another_value_in_the_store_is_drift_and_the_next_apply_rolls(stored, store):
    before = stored.instances()
    store["HUB_KEY"] = OTHER
    assert found_wrong(stored).degraded == "the secret store has another value of 'key' now"
    blue = stored.target.observe_one(stored.of(Kind.DEPLOYMENT).id)
    assert blue.degraded == "its instances run with earlier values of connection 'hub'"
    wanted = (stored.space(secret_store=STORE), hub(stored))
    report = drift(wanted, stored.target.observe([stored.workspace]), "demo")
    [found] = (one for one in report.resources if one.id.kind == Kind.CONNECTION)
    assert (found.verdict, found.reason) == ("drifted", found_wrong(stored).degraded)
    assert found.fix == "rolling"
    pending = planned(stored, hub(stored), asking(stored))
    assert pending == ["update Connection", "update Deployment"]
    stored.apply(hub(stored))
    assert not set(stored.instances()) & set(before)
    assert stored.sets("OPENAI_KEY", OTHER)
    assert planned(stored, hub(stored), asking(stored)) == []


def test_a_store_that_does_not_answer_is_unknown_and_no_drift_of_what_runs(stored, store):
    before = stored.instances()
    del store["HUB_KEY"]
    there = found_wrong(stored)
    said = "environment variable HUB_KEY is not set"
    assert (there.presence, there.reason) == (Presence.UNKNOWN, said)
    assert stored.target.observe_one(stored.of(Kind.DEPLOYMENT).id).degraded == ""
    assert planned(stored, hub(stored), asking(stored)) == []
    assert planned(stored, hub(stored, "OTHER_KEY"), asking(stored)) == ["update Connection"]
    with pytest.raises(SecretStoreUnreachable, match=f"read the credentials of .*/hub': {said};"):
        stored.apply(hub(stored))
    with pytest.raises(SecretStoreUnreachable, match=f"to set OPENAI_KEY of .*blue': {said}; set"):
        stored.apply(asking(stored))
    assert stored.instances() == before


@pytest.fixture
def ruled(stored):
    """A lab of which an autoscale rule may say how many instances there are."""
    if Kind.AUTOSCALE_RULE not in stored.target.capabilities.kinds:
        pytest.skip("this target has no autoscale rules yet")
    stored.allow_rules()
    stored.measure()
    stored.apply(stored.blue(environment_variables=ASKED))
    return stored


def test_what_ran_before_starts_again_while_the_store_is_silent(stored, store):
    stored.target.stop(stored.workspace, ANN)
    del store["HUB_KEY"]
    if stored.instances():
        stored.target.start(stored.workspace, ANN)
    else:  # this target's go with what they were given when they are stopped
        with pytest.raises(SecretStoreUnreachable, match=f"HUB_KEY is not set; {_AGAIN}"):
            stored.target.start(stored.workspace, ANN)
        store["HUB_KEY"] = SECRET
        stored.target.start(stored.workspace, ANN)
    assert stored.sets("OPENAI_KEY", SECRET)
    store["HUB_KEY"] = SECRET
    assert planned(stored, hub(stored), asking(stored)) == []


def test_new_instances_wait_for_a_silent_store_and_the_rule_of_the_others_stays(ruled, store):
    rule = ruled.rule(min_instances=1, max_instances=3)
    ruled.apply(rule)
    more = ruled.blue(instance_count=2, environment_variables=ASKED)
    ruled.apply(more)
    before = ruled.instances()
    del store["HUB_KEY"]
    with pytest.raises(SecretStoreUnreachable, match=f"HUB_KEY is not set; {_AGAIN}"):
        ruled.delete(rule.id)
    assert ruled.target.observe_one(rule.id).presence == Presence.PRESENT
    assert ruled.instances() == before
    store["HUB_KEY"] = SECRET
    ruled.delete(rule.id)
    assert len(ruled.instances()) == 2


def test_a_rule_goes_while_the_store_is_silent_if_nothing_has_to_start(ruled, store):
    rule = ruled.rule(min_instances=2, max_instances=3)
    ruled.apply(rule)
    assert len(ruled.instances()) == 2
    del store["HUB_KEY"]
    if ruled.ports.compute.replaces_instances:
        # its instances are replaced, and a new one needs every value
        with pytest.raises(SecretStoreUnreachable, match="HUB_KEY is not set"):
            ruled.delete(rule.id)
        assert ruled.target.observe_one(rule.id).presence == Presence.PRESENT
        return
    ruled.delete(rule.id)
    assert len(ruled.instances()) == 1
    assert ruled.sets("OPENAI_KEY", SECRET)


def test_a_rule_adds_no_instance_where_a_secret_has_changed_since(ruled, store):
    if ruled.ports.compute.replaces_instances:
        pytest.skip("this target keeps rules by itself")
    blue = ruled.of(Kind.DEPLOYMENT).id
    ruled.apply(ruled.rule(min_instances=1, max_instances=3))
    before = ruled.instances()
    store["HUB_KEY"] = OTHER
    with pytest.raises(TargetError, match="its secrets have changed since it was applied"):
        ruled.target.scaling(blue.workspace, ANN).scale(blue, 2)
    assert ruled.instances() == before
    ruled.apply(hub(ruled))
    ruled.target.scaling(blue.workspace, ANN).scale(blue, 2)
    assert len(ruled.instances()) == 2


def test_what_is_asked_for_often_is_read_once_for_a_plan(stored, store):
    more = asking(stored)
    store.asked = 0
    planned(stored, hub(stored), more)
    assert store.asked == 1


def test_a_workspace_that_moves_to_another_store_restarts_nothing(lab, store):
    lab.apply(lab.of(Kind.WORKSPACE), inside(lab), *lab.with_secrets(asking(lab)))
    before = lab.instances()
    lab.apply(lab.space(secret_store=STORE), hub(lab))
    assert b"sealed" not in lab.documents()["credentials"]["hub"]
    assert lab.instances() == before
    lab.apply(lab.of(Kind.WORKSPACE))
    gone = "its credentials are in the workspace's previous secret store"
    assert found_wrong(lab).degraded == gone
    lab.apply(inside(lab))
    assert found_wrong(lab).degraded == ""
    assert lab.instances() == before


@pytest.mark.parametrize(
    ("settings", "connection", "said"),
    [
        (STORE, inside, "credentials: secret_store environment is read-only; leave key out"),
        ({}, hub, "stored_credentials: the workspace's secret_store is encrypted_file, which has"),
    ],
)
def test_a_connection_that_does_not_fit_is_refused(lab, store, settings, connection, said):
    lab.apply(lab.space(secret_store=settings))
    with pytest.raises(SecretsInjectionError, match=said):
        lab.apply(connection(lab))
    assert lab.ports.records.section("credentials") == {}


# -- secrets of an Azure Key Vault -----------------------------------------------------------------

URL = "https://lab.vault.azure.net"
VAULT_SECRET = f"${{{{keyvault:{URL}/secrets/openai-key}}}}"


class KeyVault:
    """Has secrets by name, as Azure's has."""

    def __init__(self, secrets):
        self.secrets = secrets

    def values(self, places):
        return {name: self.secrets[place] for name, place in places.items()}


@pytest.fixture
def key_vault(lab):
    found = {"openai-key": SECRET}
    opened = {URL: KeyVault(found)}
    lab.target.open_store = lambda settings: opened[settings["url"]]
    return found


def reads_vault(lab, scope="vaults/lab.vault.azure.net"):
    spec = RoleAssignmentSpec(
        workspace=lab.workspace,
        name="reads",
        principal="endpoints/iris",
        role="Key Vault Secrets User",
        scope=scope,
    )
    id_ = lab.id(Kind.ROLE_ASSIGNMENT, "reads")
    return DesiredResource(id=id_, spec=spec, owner="demo")


def of_vault(lab):
    return lab.deployment(environment_variables={"OPENAI_KEY": VAULT_SECRET})


def test_an_instance_gets_a_secret_of_a_key_vault_if_its_identity_may_read_it(lab, key_vault):
    lab.apply(*lab.desired[:3], lab.endpoint("iris"))
    missing = (
        "has no role 'Key Vault Secrets User' on vaults/lab.vault.azure.net/secrets/openai-key,"
        " to read it"
    )
    with pytest.raises(PermissionMissing, match=missing):
        lab.apply(of_vault(lab))
    assert lab.instances() == {}
    lab.apply(reads_vault(lab), of_vault(lab), lab.of(Kind.TRAFFIC))
    assert lab.sets("OPENAI_KEY", SECRET)
    record = lab.state.record(lab.of(Kind.DEPLOYMENT).id)
    assert record.properties["environment_variables"] == {"OPENAI_KEY": VAULT_SECRET}
    assert lab.state.secrets.has_key()  # its digest is no digest that can be guessed


def test_another_secret_in_a_key_vault_is_drift_and_the_next_apply_rolls(lab, key_vault):
    lab.apply(*lab.desired[:3], lab.endpoint("iris"), reads_vault(lab), of_vault(lab))
    lab.apply(lab.of(Kind.TRAFFIC))
    before = lab.instances()
    lab.apply(of_vault(lab))
    assert lab.instances() == before
    key_vault["openai-key"] = OTHER
    blue = lab.target.observe_one(lab.of(Kind.DEPLOYMENT).id)
    said = f"its instances run with earlier values of secret 'openai-key' of Key Vault {URL}"
    assert blue.degraded == said
    lab.apply(of_vault(lab))
    assert not set(lab.instances()) & set(before)
    assert lab.sets("OPENAI_KEY", OTHER)


def test_a_role_on_another_secret_does_not_help(lab, key_vault):
    other = reads_vault(lab, "vaults/lab.vault.azure.net/secrets/other")
    lab.apply(*lab.desired[:3], lab.endpoint("iris"), other)
    with pytest.raises(PermissionMissing):
        lab.apply(of_vault(lab))


def test_a_deleted_connection_leaves_nothing(lab, store):
    lab.apply(lab.space(secret_store=STORE), hub(lab))
    lab.delete(lab.id(Kind.CONNECTION, "hub"))
    assert lab.ports.records.section("credentials") == {}
