"""What an instance of a named type gets, and what a deployment says itself."""

import pytest
from pydantic import ValidationError
from tests.stacks import BLUE, deployment, stack

from inference_provider.compare import compare, generation_after
from inference_provider.desired import resolve
from inference_provider.observed import Kind
from inference_provider.spec import stack_faults
from inference_provider.spec.azure_sizes import AZURE_SIZES
from inference_provider.spec.instance_type import InstanceType
from inference_provider.spec.quota import recorded_size, size_of

TYPES = {
    "small": {"cpu": "2", "memory": "4Gi"},
    "trainer": {"cpu": "8", "memory": "64Gi", "gpu": 2, "gpu_product": "A100"},
}


def typed(name, types=TYPES, **fields):
    workspace = {"name": "default", "target": "docker", "instance_types": types}
    one = BLUE | {"instance_type": name, **fields}
    return stack(workspaces=[workspace], deployments=[one])


def blue(asked):
    return next(r for r in resolve(asked) if r.id.kind == Kind.DEPLOYMENT)


def faults(asked):
    """Return the faults of a stack, but for the code that none here has."""
    return [str(one) for one in stack_faults(asked) if "code_configuration" not in one.path]


def said(asked):
    """Return what the resources of blue say, without what is left out."""
    found = blue(asked).spec.resources.model_dump(exclude_defaults=True)
    return {"requests": {}, **found}


def test_an_instance_gets_the_amounts_of_its_type():
    assert said(typed("small")) == {"requests": {}, "limits": {"cpu": "2", "memory": "4Gi"}}
    assert said(typed("trainer")) == {
        "requests": {},
        "limits": {"cpu": "8", "memory": "64Gi", "gpu": 2},
        "gpu_product": "A100",
    }


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        pytest.param(
            {"limits": {"memory": "8Gi"}},
            {"requests": {}, "limits": {"cpu": "8", "memory": "8Gi", "gpu": 2},
             "gpu_product": "A100"},
            id="one amount",
        ),
        pytest.param(
            {"requests": {"cpu": "1"}},
            {"requests": {"cpu": "1"}, "limits": {"memory": "64Gi", "gpu": 2},
             "gpu_product": "A100"},
            id="a request, too",
        ),
        pytest.param(
            {"limits": {"gpu": 0}},
            {"requests": {}, "limits": {"cpu": "8", "memory": "64Gi", "gpu": 0}},
            id="no GPU",
        ),
        pytest.param(
            {"gpu_devices": [3]},
            {"requests": {}, "limits": {"cpu": "8", "memory": "64Gi"}, "gpu_devices": ("3",)},
            id="chosen GPUs",
        ),
        pytest.param(
            {"mig": {"1g.5gb": 1}},
            {"requests": {}, "limits": {"cpu": "8", "memory": "64Gi"}, "mig": {"1g.5gb": 1}},
            id="a slice",
        ),
        pytest.param(
            {"gpu_share": "ours"},
            {"requests": {}, "limits": {"cpu": "8", "memory": "64Gi"}, "gpu_share": "ours",
             "gpu_product": "A100"},
            id="a share of such a GPU",
        ),
        pytest.param(
            {"gpu_product": "H100"},
            {"requests": {}, "limits": {"cpu": "8", "memory": "64Gi", "gpu": 2},
             "gpu_product": "H100"},
            id="another product",
        ),
    ],
)  # fmt: skip
def test_what_a_deployment_says_itself_counts_instead(resources, expected):
    assert said(typed("trainer", resources=resources)) == expected


CLAIMING = {"big": {"gpu": 2, "device_class": "gpu.nvidia.com", "device_selectors": ["true"]}}
CLAIMED = {"device_class": "gpu.nvidia.com", "device_selectors": ("true",)}


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        pytest.param({}, {"limits": {"gpu": 2}, **CLAIMED}, id="as it is"),
        pytest.param(
            {"limits": {"gpu": 4}}, {"limits": {"gpu": 4}, **CLAIMED}, id="another number"
        ),
        pytest.param(
            {"device_class": "mig.nvidia.com"},
            {"limits": {"gpu": 2}, "device_class": "mig.nvidia.com"},
            id="another class",
        ),
        pytest.param(
            {"limits": {"amd.com/gpu": 1}},
            {"limits": {"gpu": 1}, "gpu_resource": "amd.com/gpu"},
            id="what nodes count",
        ),
        pytest.param({"gpu_share": "ours"}, {"limits": {}, "gpu_share": "ours"}, id="a share"),
        pytest.param({"limits": {"gpu": 0}}, {"limits": {"gpu": 0}}, id="no device"),
    ],
)
def test_a_type_may_be_devices_of_a_class(resources, expected):
    found = said(typed("big", CLAIMING, resources=resources))
    assert {"limits": {}, **found} == {"requests": {}, **expected}


def test_a_class_that_no_number_is_asked_of_is_a_fault():
    assert faults(deployment(resources={"device_class": "gpu.nvidia.com"})) == [
        "deployments.0.resources.device_class: no GPU is asked for; add limits: {gpu: 1}, or leave"
        " it out"
    ]


@pytest.mark.parametrize("field", ["device_class", "gpu_product"])
def test_a_type_of_gpus_that_asks_for_none_is_a_fault(field):
    own = {"big": {"cpu": "2", field: "gpu.nvidia.com"}}
    assert faults(typed("big", own)) == [
        f"deployments.0.instance_type: 'big' has {field}, and no GPU is asked for; add gpu to the"
        " type, or limits: {gpu: 1}"
    ]
    for asked in (0, 1):
        assert faults(typed("big", own, resources={"limits": {"gpu": asked}})) == []


def test_a_class_in_a_type_does_not_count_what_nodes_count():
    both = {"gpu": 1, "gpu_resource": "amd.com/gpu", "device_class": "gpu.amd.com"}
    with pytest.raises(ValidationError, match=r"gpu_resource amd\.com/gpu are different requests"):
        InstanceType.model_validate(both)


def test_sizes_of_azure_are_known_and_a_workspace_may_give_them_other_amounts():
    t4 = {"cpu": "4", "memory": "28Gi", "gpu": 1}
    assert said(typed("Standard_NC4as_T4_v3")) == {
        "requests": {},
        "limits": t4,
        "gpu_product": "T4",
    }
    assert said(typed("Standard_DS1_v2"))["limits"] == {"cpu": "1", "memory": "3.5Gi"}
    own = {"Standard_NC4as_T4_v3": {"gpu": 1}}
    assert said(typed("Standard_NC4as_T4_v3", own)) == {"requests": {}, "limits": {"gpu": 1}}


def test_a_size_of_azure_is_known_in_any_case():
    assert said(typed("STANDARD_NC4AS_T4_V3"))["limits"] == {"cpu": "4", "memory": "28Gi", "gpu": 1}


def test_every_size_of_azure_is_a_valid_type():
    for name in AZURE_SIZES:
        assert blue(typed(name)).spec.resources.limits.cpu


def test_the_gpus_of_a_type_count_in_a_quota():
    asked = typed("trainer", instance_count=3)
    assert size_of(blue(asked).spec) == (3, 6)
    assert recorded_size(blue(asked).properties) == (3, 6)
    narrow = {"name": "default", "instance_types": TYPES, "quota": {"max_gpus": 4}}
    one = BLUE | {"instance_type": "trainer", "instance_count": 3}
    [fault] = faults(stack(workspaces=[narrow], deployments=[one]))
    assert fault.startswith("workspaces.0.quota.max_gpus: would bring the workspace to 6 gpus")


def test_an_unknown_type_is_a_fault_that_names_those_there_are():
    [fault] = faults(typed("huge"))
    assert fault.startswith(
        "deployments.0.instance_type: no instance type 'huge' in workspace 'default'; declare it in"
        " the workspace's instance_types, or use one of: small, trainer, Standard_DS1_v2,"
    )


def test_a_product_without_a_gpu_is_a_fault():
    assert faults(deployment(resources={"gpu_product": "A100"})) == [
        "deployments.0.resources.gpu_product: no GPU is asked for; add limits: {gpu: 1}, or leave"
        " it out"
    ]
    assert faults(typed("trainer", resources={"gpu_product": "H100"})) == []


def test_a_type_with_other_amounts_is_a_rolling_change_of_what_names_it():
    before, after = blue(typed("small")), blue(typed("small", {"small": {"cpu": "4"}}))
    changes = compare(Kind.DEPLOYMENT, before.properties, after.properties)
    assert [str(change) for change in changes] == [
        "resources.limits.cpu: 2 -> 4 (rolling)",
        "resources.limits.memory: 4Gi -> (none) (rolling)",
    ]
    assert generation_after(before, None) != generation_after(after, None)


def test_a_deployment_without_a_type_has_the_generation_that_it_had():
    assert blue(deployment()).generation == blue(typed(None)).generation
