"""A service whose workspace lets ben call the endpoint iris."""

import pytest
from tests.unit.test_desk import BEN_CALLS
from tests.unit.web.asking import Asking


@pytest.fixture
def asking():
    return Asking(BEN_CALLS)
