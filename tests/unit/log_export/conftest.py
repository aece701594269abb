"""A real collector on loopback, and a workspace whose logs go there."""

import pytest
from tests.collector import collecting
from tests.unit.log_export.lab import Lab


@pytest.fixture
def collector():
    with collecting() as found:
        yield found


@pytest.fixture
def lab(tmp_path, collector):
    return Lab(tmp_path, collector.url)
