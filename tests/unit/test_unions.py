"""Online, batch and serverless: other fields, chosen by `kind`."""

import pytest
from pydantic import ValidationError

from inference_provider.capabilities import TargetCapabilities
from inference_provider.compare import compare
from inference_provider.desired import properties_of, resolve
from inference_provider.errors import SpecError
from inference_provider.files import load_stack
from inference_provider.observed import Kind
from inference_provider.refusals import refusals
from inference_provider.spec import (
    BatchDeploymentSpec,
    BatchEndpointSpec,
    DeploymentSpec,
    EndpointSpec,
    ServerlessEndpointSpec,
    StackSpec,
)
from inference_provider.spec.quota import Size, recorded_size, size_of

BATCH = {"endpoint": "words", "name": "blue", "kind": "batch", "environment": "env:1"}
STACK = """\
name: demo
environments: [{name: env}]
models: [{name: words, path: model}]
endpoints:
  - {name: iris}
  - {name: words, kind: batch}
  - {name: phi, kind: serverless, model_id: "azureml://registries/azureml/models/Phi-4"}
deployments:
  - {endpoint: iris, name: blue, environment: "env:1", code_configuration: CODE}
  - {endpoint: words, name: blue, kind: batch, environment: "env:1", model: "words:1",
     code_configuration: CODE, mini_batch_size: 5, retry_settings: {max_retries: 1}}
""".replace("CODE", "{code: src, scoring_script: score.py}")


@pytest.fixture
def folder(tmp_path):
    for name in ("src", "model"):
        (tmp_path / name).mkdir()
    (tmp_path / "src" / "score.py").write_text("def init(): ...\ndef run(data): ...\n")
    (tmp_path / "model" / "words.txt").write_text("word")
    return tmp_path


def load(folder, text):
    (folder / "stack.yaml").write_text(text)
    return load_stack(folder / "stack.yaml")


def faults(folder, text):
    with pytest.raises(SpecError) as caught:
        load(folder, text)
    return [f"{fault.path}: {fault.reason}; {fault.remedy}" for fault in caught.value.faults]


def test_kind_chooses_the_model_and_nothing_means_online(folder):
    stack = load(folder, STACK)
    assert [type(endpoint) for endpoint in stack.endpoints] == [
        EndpointSpec, BatchEndpointSpec, ServerlessEndpointSpec,
    ]  # fmt: skip
    assert tuple(map(type, stack.deployments)) == (DeploymentSpec, BatchDeploymentSpec)


def test_a_stack_spec_chooses_too():
    stack = StackSpec.model_validate({"name": "demo", "deployments": [BATCH]})
    assert stack.deployments == (BatchDeploymentSpec.model_validate(BATCH),)


def test_what_a_batch_deployment_names_is_hashed_and_pinned(folder):
    stack = load(folder, STACK)
    [blue] = [r.spec for r in resolve(stack) if isinstance(r.spec, BatchDeploymentSpec)]
    assert len(blue.code_configuration.content_hash) == 64
    assert blue.model.startswith("words:1@sha256:")
    assert blue.environment.startswith("env:1@sha256:")


def test_defaults_of_a_batch_deployment_are_azures():
    found = properties_of(BatchDeploymentSpec.model_validate(BATCH))
    assert {
        "mini_batch_size": 10,
        "max_concurrency_per_instance": 1,
        "retry_settings": {"max_retries": 3, "timeout": 30},
        "error_threshold": -1,
        "output_action": "append_row",
        "output_file_name": "predictions.csv",
        "logging_level": "info",
        "instance_count": 1,
    }.items() <= found.items()


def test_batch_endpoints_take_tokens_and_serverless_ones_keys():
    assert BatchEndpointSpec(name="words", kind="batch").auth_mode == "aad_token"
    phi = {"name": "phi", "kind": "serverless", "model_id": "phi-4"}
    assert ServerlessEndpointSpec.model_validate(phi).auth_mode == "key"
    aad = ServerlessEndpointSpec.model_validate({**phi, "auth_mode": "aad"})
    assert aad.auth_mode == "aad_token"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mini_batch_size", 0),
        ("max_concurrency_per_instance", 0),
        ("error_threshold", -2),
        ("retry_settings", {"timeout": 0}),
        ("output_action", "append"),
        ("logging_level", "loud"),
        ("instance_count", 0),
        ("request_settings", {}),
    ],
)
def test_a_batch_deployment_is_checked_for_fields_of_its_own(field, value):
    with pytest.raises(ValidationError):
        BatchDeploymentSpec.model_validate({**BATCH, field: value})


def test_a_file_name_without_rows_is_a_fault():
    with pytest.raises(ValidationError, match="has no meaning with output_action: summary_only"):
        BatchDeploymentSpec.model_validate(
            {**BATCH, "output_action": "summary_only", "output_file_name": "words.csv"}
        )


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(
            "kind: batch, env",
            "env",
            [
                "deployments.1.kind: 'online', and endpoint 'words' is batch;"
                " write kind: batch, or use another endpoint",
                "deployments.1.mini_batch_size: unknown field 'mini_batch_size' with kind: online;"
                " leave it out, or write kind: batch",
                "deployments.1.retry_settings: unknown field 'retry_settings' with kind: online;"
                " leave it out, or write kind: batch",
            ],
            id="online with fields of batch",
        ),
        pytest.param(
            "{name: iris}",
            "{name: iris, kind: batch}",
            [
                "deployments.0.kind: 'online', and endpoint 'iris' is batch;"
                " write kind: batch, or use another endpoint"
            ],
            id="online behind batch",
        ),
        pytest.param(
            "{name: words, kind: batch}",
            "{name: words}",
            [
                "deployments.1.kind: 'batch', and endpoint 'words' is online;"
                " write kind: online, or use another endpoint"
            ],
            id="batch behind online",
        ),
        pytest.param(
            "{endpoint: iris",
            "{endpoint: phi",
            [
                "deployments.0.endpoint: endpoint 'phi' is serverless: its deployment is built in;"
                " leave the deployment out"
            ],
            id="behind serverless",
        ),
        pytest.param(
            "name: blue, kind: batch",
            "name: blue, kind: serverless",
            ["deployments.1.kind: not a known value; use 'online' or 'batch'"],
            id="serverless deployment",
        ),
        pytest.param(
            "kind: serverless, model_id",
            "kind: serverless, model",
            [
                "endpoints.2.model_id: this field is missing; add it",
                "endpoints.2.model: unknown field 'model'; did you mean 'model_id'?",
            ],
            id="serverless without a model",
        ),
        pytest.param(
            "{name: words, kind: batch}",
            "{name: words, kind: batch, traffic: {blue: 100}}",
            [
                "endpoints.1.traffic: unknown field 'traffic'; known fields: workspace, name, kind,"
                " auth_mode, identity, public_network_access, description, tags"
            ],
            id="batch with a split",
        ),
    ],
)
def test_a_wrong_kind_is_a_fault(folder, old, new, expected):
    assert faults(folder, STACK.replace(old, new, 1)) == expected


def test_other_kinds_are_refused_by_capability_in_one_sentence_each(folder):
    found = refusals(resolve(load(folder, STACK)), TargetCapabilities(name="local"))
    assert [str(refusal) for refusal in found] == [
        "Endpoint 'default/words' on target 'local':"
        " kind: batch endpoints are not supported yet; use online",
        "Endpoint 'default/phi' on target 'local':"
        " kind: serverless endpoints are not supported yet; use online",
        "Deployment 'default/words/blue' on target 'local':"
        " kind: batch deployments are not supported yet; use online",
    ]


def test_a_record_without_a_kind_is_online():
    spec = DeploymentSpec(endpoint="iris", name="blue", environment="env:1")
    older = properties_of(spec)
    assert older.pop("kind") == "online"
    assert compare(Kind.DEPLOYMENT, older, properties_of(spec)) == ()


def test_another_kind_is_a_new_resource():
    old = properties_of(EndpointSpec(name="words"))
    new = properties_of(BatchEndpointSpec(name="words", kind="batch"))
    assert [str(change) for change in compare(Kind.ENDPOINT, old, new)] == [
        "kind: online -> batch (replace)",
        "auth_mode: key -> aad_token (live)",
    ]


def test_a_batch_deployment_takes_nothing_of_a_quota():
    spec = BatchDeploymentSpec.model_validate({**BATCH, "instance_count": 4})
    assert size_of(spec) == Size()
    assert recorded_size(properties_of(spec)) == Size()
