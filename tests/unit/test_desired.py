"""Every default decided: names, pinned references, generations, secrets as digests."""

import pytest

from inference_provider.desired import properties_of, resolve
from inference_provider.errors import SpecError
from inference_provider.observed import Kind
from inference_provider.spec import StackSpec

HASH = "a" * 64
OTHER = "b" * 64


def stack(**deployment):
    return StackSpec.model_validate(
        {
            "name": "demo",
            "models": [
                {"name": "iris", "version": "9", "path": "m", "content_hash": HASH},
                {"name": "iris", "version": "10", "path": "m", "content_hash": OTHER},
            ],
            "environments": [{"name": "env", "content_hash": HASH}],
            "endpoints": [{"name": "iris"}],
            "deployments": [
                {
                    "endpoint": "iris",
                    "name": "blue",
                    "model": "iris:9",
                    "environment": "env:1",
                    "code_configuration": {"code": "src", "content_hash": HASH},
                    **deployment,
                }
            ],
            "traffic": [{"endpoint": "iris", "traffic": {"blue": 100}}],
        }
    )


def blue(**fields):
    return next(r for r in resolve(stack(**fields)) if r.id.kind == Kind.DEPLOYMENT)


def test_resources_come_in_the_order_in_which_they_are_made():
    assert [str(resource.id) for resource in resolve(stack())] == [
        "Workspace 'default'",
        "Model 'default/iris:9'",
        "Model 'default/iris:10'",
        "Environment 'default/env:1'",
        "Endpoint 'default/iris'",
        "Deployment 'default/iris/blue'",
        "Traffic 'default/iris'",
    ]


def test_everything_carries_the_stacks_name_and_folder():
    found = {(r.owner, r.base_dir) for r in resolve(stack(), base_dir="/srv/demo")}
    assert found == {("demo", "/srv/demo")}


def test_latest_takes_10_over_9():
    assert blue(model="iris@latest").spec.model == f"iris:10@sha256:{OTHER}"


def test_latest_sees_what_the_workspace_holds_already():
    known = [f"model/default/iris:11@sha256:{HASH}", f"model/other/iris:12@sha256:{HASH}"]
    resources = resolve(stack(model="iris@latest"), known_assets=known)
    assert resources[5].spec.model == f"iris:11@sha256:{HASH}"


def test_numbers_are_later_than_texts():
    known = [f"model/default/iris:nightly@sha256:{HASH}"]
    resources = resolve(stack(model="iris@latest"), known_assets=known)
    assert resources[5].spec.model == f"iris:10@sha256:{OTHER}"


def test_references_are_pinned_to_their_content():
    spec = blue(model="azureml:iris:9").spec
    assert (spec.model, spec.environment) == (f"iris:9@sha256:{HASH}", f"env:1@sha256:{HASH}")


def test_a_pinned_reference_stays_as_it_is():
    pinned = f"iris:9@sha256:{OTHER}"
    assert blue(model=pinned).spec.model == pinned


def test_a_deployment_may_have_no_model():
    assert blue(model=None).spec.model is None


def test_references_to_nothing_are_all_reported():
    with pytest.raises(SpecError) as caught:
        resolve(stack(model="iris:99", environment="gone@latest"))
    assert [str(fault) for fault in caught.value.faults] == [
        "deployments.0.model: no model 'iris:99' in 'default'; declare it",
        "deployments.0.environment: no environment 'gone@latest' in 'default'; declare it",
    ]


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"instance_count": 3}, id="count"),
        pytest.param({"tags": {"team": "a"}}, id="tags"),
        pytest.param({"description": "x"}, id="description"),
        pytest.param({"request_settings": {"request_timeout_ms": 9000}}, id="timeouts"),
        pytest.param({"readiness_probe": {"period": 5}}, id="probes"),
        pytest.param({"start_timeout_s": 5}, id="patience"),
        pytest.param({"code_configuration": {"code": "moved", "content_hash": HASH}}, id="folder"),
    ],
)
def test_what_needs_no_new_process_leaves_the_generation(fields):
    assert blue(**fields).generation == blue().generation


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"model": "iris:10"}, id="model"),
        pytest.param({"code_configuration": {"code": "src", "content_hash": OTHER}}, id="code"),
        pytest.param({"environment_variables": {"A": "1"}}, id="variable"),
        pytest.param({"resources": {"limits": {"gpu": 1}}}, id="resources"),
        pytest.param({"instance_type": "Standard_DS3_v2"}, id="instance type"),
    ],
)
def test_what_needs_new_processes_changes_the_generation(fields):
    assert blue(**fields).generation != blue().generation


def test_a_secrets_value_changes_the_generation():
    one, other = (blue(environment_variables={"A": value}) for value in ("1", "2"))
    assert one.generation != other.generation


def test_a_generation_is_12_hex_digits_and_the_same_everywhere():
    assert blue().generation == blue().generation
    assert len(blue().generation) == 12
    assert set(blue().generation) <= set("0123456789abcdef")


def test_secrets_stand_as_digests():
    found = blue(environment_variables={"TOKEN": "hunter2"}).properties["environment_variables"]
    assert found == {"TOKEN": "secret:sha256:f52fbd32b2b3b86f"}


def test_folders_of_this_machine_are_not_compared():
    everything = [resource.properties for resource in resolve(stack())]
    assert not any("path" in found or "requirements_file" in found for found in everything)
    assert "code" not in properties_of(stack().deployments[0])["code_configuration"]
