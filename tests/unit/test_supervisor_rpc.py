"""What we say to supervisord."""

import pytest
from supervisor import xmlrpc

from inference_provider.targets.local.supervisor_rpc import Faults


@pytest.mark.parametrize("fault", Faults)
def test_a_fault_has_the_code_that_supervisord_gives_it(fault):
    assert getattr(xmlrpc.Faults, fault.name) == fault
