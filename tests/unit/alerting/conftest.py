"""A service that watches alerts, with its file in a folder of the test."""

import pytest
from tests.unit.alerting.watched import Service


@pytest.fixture
def service(tmp_path):
    return Service(tmp_path)
