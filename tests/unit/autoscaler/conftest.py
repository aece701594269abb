"""A workspace with a rule, and the autoscaler that keeps it."""

import pytest
from tests.unit.autoscaler.case import Case


@pytest.fixture
def case(tmp_path):
    return Case(tmp_path)
