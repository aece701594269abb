"""Where a fault is said to be, and what it says may be written there."""

import pytest
from pydantic import ValidationError

from inference_provider.files.wording import faults_of
from inference_provider.spec import ConnectionSpec, DeploymentSpec
from inference_provider.spec.autoscale_rule import AutoscaleRuleSpec
from inference_provider.spec.workspace import WorkspaceSpec


def told(model, **fields):
    with pytest.raises(ValidationError) as refused:
        model.model_validate(fields)
    return [str(fault) for fault in faults_of(refused.value, model)]


def test_an_unknown_field_of_a_list_of_a_map_and_of_an_optional_block_names_the_known_ones():
    assert told(
        WorkspaceSpec,
        outbound_rules=[{"name": "one", "destination": "pypi.org", "prots": [80]}],
        roles={"Scorer": {"actions": ["*"], "notactions": []}},
        instance_types={"actions": {"weight": 1}},
        tls={"generate": True, "zzz": 1},
        cluster={"router": {"ingress": {"host": "score.example.org", "clas_name": "nginx"}}},
    ) == [
        "tls.zzz: unknown field 'zzz'; known fields: certificate, private_key, generate, names,"
        " minimum_version, client_ca",
        "outbound_rules.0.prots: unknown field 'prots'; did you mean 'ports'?",
        "cluster.router.ingress.clas_name: unknown field 'clas_name'; did you mean 'class_name'?",
        "instance_types.actions.weight: unknown field 'weight'; known fields: cpu, memory, gpu,"
        " gpu_resource, gpu_product, device_class, device_selectors",
        "roles.Scorer.notactions: unknown field 'notactions'; did you mean 'not_actions'?",
    ]
    [fault] = told(
        AutoscaleRuleSpec,
        endpoint="iris",
        deployment="blue",
        max_instances=2,
        targets=[{"metric": "RequestsInFlight", "target": 1, "tarjet": 2}],
    )
    assert fault == "targets.0.tarjet: unknown field 'tarjet'; did you mean 'target'?"


def test_the_kind_of_a_block_is_no_part_of_its_place():
    store = {"kind": "vault", "adress": "https://vault.example.org", "mont": "x"}
    assert told(WorkspaceSpec, secret_store=store) == [
        "secret_store.address: this field is missing; add it",
        "secret_store.adress: unknown field 'adress'; did you mean 'address'?",
        "secret_store.mont: unknown field 'mont'; did you mean 'mount'?",
    ]
    assert told(WorkspaceSpec, secret_store={"kind": "env"}) == [
        "secret_store.kind: not a known value; use 'encrypted_file', 'environment', 'vault' or"
        " 'azure_key_vault'"
    ]


def test_a_key_that_is_called_as_a_kind_is_part_of_the_place():
    blue = {"endpoint": "iris", "name": "blue", "environment": "plain@latest"}
    assert told(DeploymentSpec, **blue, environment_variables={"vault": 1}) == [
        "environment_variables.vault: not text: YAML reads it as a number, a date, true or false;"
        " put it in quotes"
    ]


def test_an_empty_list_may_be_left_out_only_where_the_field_may():
    provider = {"issuer": "https://a.example.org", "audience": [], "jwks_file": "keys.json"}
    assert told(WorkspaceSpec, identity_provider=provider) == [
        "identity_provider.audience: empty; add one"
    ]
    assert told(WorkspaceSpec, roles={"Scorer": {"actions": []}}) == [
        "roles.Scorer.actions: empty; add one"
    ]


def test_a_place_in_a_secret_store_is_called_so_and_an_audience_too():
    stored = {"key": "open ai#key"}
    assert told(ConnectionSpec, name="hub", stored_credentials=stored) == [
        "stored_credentials.key: not a place in a secret store; use visible ASCII characters,"
        " without blanks"
    ]
    provider = {"issuer": "https://a.example.org", "audience": ["a b"], "jwks_file": "keys.json"}
    assert told(WorkspaceSpec, identity_provider=provider) == [
        "identity_provider.audience.0: not an audience; use visible ASCII characters, without"
        " blanks"
    ]
