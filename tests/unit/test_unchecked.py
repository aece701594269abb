"""Records of a release whose checks were fewer: what was accepted once is read as it was."""

import pytest

from inference_provider.spec.cluster import ClusterSettings
from inference_provider.spec.outbound import OutboundRule
from inference_provider.spec.workspace import WorkspaceSpec, recorded_space

PYPI = {"name": "index", "destination": "pypi.org", "ports": [443]}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("base_image", "Not an image"),
        ("egress", "half"),
        ("allowed_source_ranges", ("10.0.0.1/8",)),
        ("trusted_hops", 3),
        ("registry", "not a registry"),
    ],
)
def test_a_value_that_is_refused_now_is_read_as_it_was(field, value):
    recorded = list(value) if isinstance(value, tuple) else value
    found = recorded_space({"engine_socket": "/run/docker.sock", field: recorded})
    assert getattr(found, field) == value
    assert found.engine_socket == "/run/docker.sock"


def test_what_closes_a_workspace_stays_closed_beside_such_a_value():
    found = recorded_space({"egress": "disabled", "outbound_rules": [PYPI], "base_image": "X Y"})
    assert found.egress == "disabled"
    assert found.outbound_rules == (OutboundRule.model_validate(PYPI),)


def test_settings_inside_have_their_types_and_defaults_and_no_field_that_is_not_known():
    found = recorded_space({"cluster": {"router": {"replicas": 0}, "of_tomorrow": 1}})
    assert isinstance(found.cluster, ClusterSettings)
    assert (found.cluster.router.replicas, found.cluster.router.service) == (0, "ClusterIP")
    assert found.cluster.storage == WorkspaceSpec().cluster.storage
