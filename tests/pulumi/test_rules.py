"""A real engine: what becomes of a deployment's count where its autoscale rule goes."""

import shutil

import pytest
from tests.pulumi.conftest import STACK

pytestmark = [
    pytest.mark.pulumi,
    pytest.mark.local,
    pytest.mark.timeout(540),
    pytest.mark.skipif(shutil.which("pulumi") is None, reason="no pulumi engine on PATH"),
]
THREE = STACK.replace("name: green}", "name: green, instance_count: 3}")
RULED = f"""{THREE}autoscale_rules:
  - endpoint: echo
    deployment: green
    min_instances: 1
    max_instances: 1
    targets: [{{metric: RequestsInFlight, target: 4}}]
"""
STARTS = "new instances ready"


def test_a_rule_that_goes_alone_leaves_the_declared_count_and_a_destroy_starts_nothing(program):
    program.declare(RULED)
    program.up()
    program.declare(THREE)
    assert STARTS in program.up()
    program.expect_no_changes()
    program.declare(RULED)
    program.up()
    said = program.pulumi("destroy", "--yes", "--skip-preview")
    assert "Deployment edge/echo/green deleted" in said
    assert STARTS not in said
    assert "new instance ready" not in said
