"""Connections, their secrets in the store, and what instances get of them."""

import json

import pytest

from inference_provider.drift import drift
from inference_provider.errors import (
    PermissionMissing,
    SecretsInjectionError,
    SecretStoreUnreachable,
    StillHolds,
)
from inference_provider.observed import Kind, Presence
from inference_provider.plan import plan
from inference_provider.secret_stores.environment import EnvironmentSecrets
from inference_provider.workspace.logins import login_for
from inference_provider.workspace.state import State
from tests.conformance.labs import ANN

SECRET, OTHER = "a-secret-of-4711", "another-secret-of-4712"
REFERENCE = "${{azureml://connections/hub/credentials/key}}"


def asking(lab, text=REFERENCE, **fields):
    return lab.deployment(environment_variables={"OPENAI_KEY": text}, **fields)


def hub(lab, secret=SECRET, **fields):
    return lab.connection(category="ApiKey", credentials={"key": secret}, **fields)


@pytest.fixture
def injected(lab):
    """A lab whose instance gets a key of a connection."""
    lab.apply(lab.of(Kind.WORKSPACE), hub(lab), *lab.with_secrets(asking(lab)))
    return lab


def planned(lab, *desired):
    state = lab.target.observe([lab.workspace])
    found = {one.id: one for one in (*lab.desired, lab.secrets_reader(), *desired)}
    actions = plan(found.values(), state, "demo").pending
    return [f"{one.kind.value} {one.id.kind}" for one in actions]


# -- the resource ----------------------------------------------------------------------------------


def test_a_connection_is_made_changed_and_deleted(lab):
    lab.apply(lab.of(Kind.WORKSPACE), hub(lab))
    there = lab.target.observe_one(lab.id(Kind.CONNECTION, "hub"))
    assert (there.presence, there.status, there.degraded) == (Presence.PRESENT, "kept", "")
    lab.apply(hub(lab, OTHER))
    assert lab.state.secrets.read("hub")["credentials"] == {"key": OTHER}
    lab.delete(lab.id(Kind.CONNECTION, "hub"))
    assert lab.target.observe_one(lab.id(Kind.CONNECTION, "hub")).presence == Presence.ABSENT
    assert lab.ports.records.section("credentials") == {}
    assert lab.journal()[1:] == ["create Connection hub", "update Connection hub",
                                 "delete Connection hub"]  # fmt: skip


def test_no_document_has_the_secret_nor_a_digest_that_can_be_guessed(injected):
    kept = json.dumps(
        {
            section: {name: document.decode() for name, document in documents.items()}
            for section, documents in injected.documents().items()
        }
    )
    assert SECRET not in kept
    record = injected.state.record(injected.id(Kind.CONNECTION, "hub"))
    plain = record.properties["credentials"]["key"]
    assert plain.startswith("secret:sha256:")  # in memory, to compare with what is declared
    assert plain not in kept
    assert "secret:hmac:" in kept


def test_who_reads_all_records_decrypts_nothing(injected):
    """A router pod does, and has no more packages than it needs."""
    [record] = (r for r in injected.state.records() if r.id.kind == Kind.CONNECTION)
    assert record.properties["credentials"]["key"].startswith("secret:hmac:")


def test_an_unchanged_secret_is_no_change_and_another_one_is(injected):
    assert planned(injected, hub(injected), asking(injected)) == []
    assert planned(injected, hub(injected, OTHER), asking(injected)) == ["update Connection"]


def test_a_secret_that_somebody_edited_in_the_store_is_drift(injected):
    with injected.ports.records.edit():
        contents = dict(injected.state.secrets.read("hub"))
        injected.state.secrets.put({**contents, "credentials": {"key": OTHER}})
    wanted = (*injected.desired[:1], hub(injected))
    report = drift(wanted, injected.target.observe([injected.workspace]), "demo")
    [found] = (one for one in report.resources if one.id.kind == Kind.CONNECTION)
    [field] = found.fields
    assert (field.path, field.severity, field.origin.value) == (
        "credentials.key", "security", "changed by hand",
    )  # fmt: skip
    assert planned(injected, hub(injected), asking(injected))[0] == "update Connection"
    injected.apply(hub(injected))
    assert injected.state.secrets.read("hub")["credentials"] == {"key": SECRET}


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda records: records.drop("credentials", "hub"), id="its document is gone"),
        pytest.param(lambda records: records.drop("store_key", "key"), id="the key is gone"),
        pytest.param(
            lambda records: records.put("store_key", "key", '{"key": "c2hvcnQ="}'),
            id="the key is none",
        ),
        pytest.param(
            lambda records: records.put("credentials", "hub", '{"nonce": "AA", "sealed'),
            id="its document is cut",
        ),
    ],
)
def test_a_connection_whose_secrets_are_gone_is_degraded_and_applied_again(injected, spoil):
    with injected.ports.records.edit():
        spoil(injected.ports.records)
    there = injected.target.observe_one(injected.id(Kind.CONNECTION, "hub"))
    assert there.degraded == "its credentials are gone"
    injected.apply(hub(injected))
    assert planned(injected, hub(injected), asking(injected)) == []
    assert injected.sets("OPENAI_KEY", SECRET)


def test_a_record_that_is_set_aside_leaves_no_secrets(injected):
    id_, before = injected.id(Kind.CONNECTION, "hub"), injected.instances()
    with injected.ports.records.edit():
        injected.ports.records.put("records", "Connection.hub", "{")
    injected.target.set_aside(id_, ANN)
    assert injected.ports.records.section("credentials") == {}
    injected.apply(hub(injected))
    assert planned(injected, hub(injected), asking(injected)) == []
    assert injected.instances() == before


def test_documents_that_somebody_exchanged_cannot_be_read(lab):
    lab.apply(lab.of(Kind.WORKSPACE), hub(lab), hub(lab, OTHER, name="spare"))
    records = lab.ports.records
    with records.edit():
        records.put("credentials", "hub", records.read("credentials", "spare").decode())
    assert lab.state.secrets.read("hub") is None


def test_a_connection_that_a_deployment_refers_to_stays(injected):
    with pytest.raises(StillHolds, match=r"Deployment '.*/iris/blue' names it; delete that first"):
        injected.delete(injected.id(Kind.CONNECTION, "hub"))
    assert injected.state.secrets.read("hub")["credentials"] == {"key": SECRET}


def test_the_nearest_connection_to_a_registry_says_who_pulls_an_image(lab):
    def hub(name, user, target):
        given = {"username": user, "password": SECRET}
        of = {"category": "ContainerRegistry", "credentials": given}
        return lab.connection(name, target=target, **of)

    lab.apply(
        lab.of(Kind.WORKSPACE),
        hub("hub", "ci", "https://Hub.example.org/v2/"),
        hub("team", "ann", "hub.example.org/team"),
        lab.connection("other", target="custom.example.org", credentials={"username": "eve"}),
    )
    images = ("hub.example.org/x:1", "hub.example.org/team/x:1", "custom.example.org/x", "python")
    found = [login_for(lab.state, image) for image in images]
    assert [login and (login.registry, login.username) for login in found] == [
        ("hub.example.org", "ci"),
        ("hub.example.org/team", "ann"),
        None,
        None,
    ]
    assert found[0].password.get_secret_value() == SECRET
    assert SECRET not in repr(found[0])


def test_a_registry_whose_secret_is_not_there_keeps_no_other_image_from_being_pulled(lab):
    there = {"HUB_USER": "ci", "HUB_PASSWORD": SECRET}
    lab.target.open_store = lambda _settings: EnvironmentSecrets(there)
    stored = {"username": "HUB_USER", "password": "HUB_PASSWORD"}
    hub = {"category": "ContainerRegistry", "stored_credentials": stored}
    lab.apply(
        lab.space(secret_store={"kind": "environment"}),
        lab.connection("hub", target="hub.example.org", **hub),
    )
    state = State(lab.ports.records, lab.target.open_store)
    assert login_for(state, "hub.example.org/x:1").username == "ci"
    del there["HUB_PASSWORD"]
    with pytest.raises(SecretStoreUnreachable, match="variable HUB_PASSWORD is not set"):
        login_for(state, "hub.example.org/x:1")
    assert login_for(state, "python:3.11") is None


# -- injection -------------------------------------------------------------------------------------


def test_an_instance_gets_the_secret(injected):
    assert injected.sets("OPENAI_KEY", SECRET)


def test_another_secret_starts_new_instances_and_the_same_none(injected):
    before = injected.instances()
    injected.apply(hub(injected), asking(injected))
    assert injected.instances() == before
    injected.apply(hub(injected, OTHER))
    assert not set(injected.instances()) & set(before)
    assert set(injected.instances().values()) != set(before.values())
    assert injected.sets("OPENAI_KEY", OTHER)
    assert planned(injected, hub(injected, OTHER), asking(injected)) == []


def test_a_change_that_no_instance_gets_starts_none(injected):
    before = injected.instances()
    injected.apply(hub(injected, metadata={"ApiVersion": "2"}))
    assert injected.instances() == before


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${{azureml://connections/hub/target}}", "https://example.org"),
        ("${{azureml://connections/hub/metadata/ApiVersion}}", "2024-02-01"),
        ("${{ azureml://connections/hub/credentials/key }}", SECRET),
        (
            "${{azureml://connections/hub}}",
            '{"name": "hub", "type": "Microsoft.MachineLearningServices/workspaces/connections",'
            ' "properties": {"authType": "ApiKey", "category": "ApiKey", "target":'
            ' "https://example.org", "metadata": {"ApiVersion": "2024-02-01"}, "credentials":'
            f' {{"key": "{SECRET}"}}}}}}',
        ),
    ],
)
def test_each_part_of_a_connection_can_be_asked_for(injected, text, value):
    more = {"target": "https://example.org", "metadata": {"ApiVersion": "2024-02-01"}}
    injected.apply(hub(injected, **more), asking(injected, text))
    assert injected.sets("OPENAI_KEY", value)


def test_a_connection_that_is_not_there_is_named_before_anything_starts(served):
    before = served.instances()
    with pytest.raises(Exception, match=r"Connection '.*/hub' is not there; declare it first"):
        served.apply(asking(served))
    assert served.instances() == before


def test_a_key_that_a_connection_has_not_is_named_and_the_old_instances_serve(injected):
    before = injected.instances()
    text = "${{azureml://connections/hub/credentials/pat}}"
    said = r"set OPENAI_KEY of .*: connection 'hub' has no credentials 'pat'; it has 'key'; correct"
    with pytest.raises(SecretsInjectionError, match=said):
        injected.apply(asking(injected, text))
    assert injected.instances() == before


def test_a_rotation_that_was_killed_is_told_and_finished_by_the_next_apply(injected):
    before = injected.instances()
    with injected.ports.records.edit():
        contents = dict(injected.state.secrets.read("hub"))
        injected.state.secrets.put({**contents, "credentials": {"key": OTHER}})
    there = injected.target.observe_one(injected.of(Kind.DEPLOYMENT).id)
    assert there.degraded == "its instances run with earlier values of connection 'hub'"
    assert injected.instances() == before
    assert "update Deployment" in planned(injected, hub(injected, OTHER), asking(injected))
    injected.apply(asking(injected))
    assert not set(injected.instances()) & set(before)
    assert injected.sets("OPENAI_KEY", OTHER)


def test_a_stack_takes_nothing_away_that_another_ones_deployment_asks_for(lab):
    theirs = lab.connection(owner="platform", credentials={"key": SECRET, "pat": OTHER})
    lab.apply(lab.of(Kind.WORKSPACE), theirs, *lab.with_secrets(asking(lab)))
    before = lab.state.secrets.read("hub")
    less = lab.connection(owner="platform", credentials={"pat": OTHER})
    with pytest.raises(SecretsInjectionError, match=r"has no credentials 'key'.* of stack 'demo'"):
        lab.apply(less)
    assert lab.state.secrets.read("hub") == before


def test_one_stack_may_change_both_a_connection_and_what_asks_for_it(injected):
    both = injected.connection(category="ApiKey", credentials={"key": OTHER}, target="http://new")
    injected.apply(both, asking(injected, "${{azureml://connections/hub/target}}"))
    assert injected.sets("OPENAI_KEY", "http://new")


# -- who may read ----------------------------------------------------------------------------------


def test_an_identity_without_the_role_gets_no_secret_and_nothing_starts(lab):
    lab.apply(*lab.desired[:3], hub(lab), lab.endpoint("iris"))
    with pytest.raises(PermissionMissing, match=r"Secrets Reader' on connections/hub, to read"):
        lab.apply(asking(lab))
    assert lab.instances() == {}


def test_a_role_that_was_taken_away_is_told_and_no_new_secret_is_given(injected):
    before = injected.instances()
    injected.delete(injected.secrets_reader().id)
    there = injected.target.observe_one(injected.of(Kind.DEPLOYMENT).id)
    said = "connection 'hub': the system-assigned identity of endpoint 'iris' has no role"
    assert there.degraded.startswith(said)
    injected.apply(hub(injected, OTHER))
    assert injected.instances() == before
    with pytest.raises(
        SecretsInjectionError, match=r"inject secrets into .* connection 'hub': the"
    ):
        injected.target.start(injected.workspace, ANN)
    injected.apply(injected.secrets_reader(), asking(injected))
    assert injected.sets("OPENAI_KEY", OTHER)
