"""Ports, sockets and addresses: who listens there, and what can never be listened on."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from inference_provider.errors import TargetError
from inference_provider.targets.listening import address_fault
from inference_provider.targets.local.addresses import choose_address, listens

NOWHERE = "192.0.2.1"  # for documents; no machine's


def test_an_address_of_another_machine_is_no_address_of_this_one():
    assert address_fault(NOWHERE, 18080) == (
        "bind_address '192.0.2.1' is not an address of this machine; `ip -brief address` lists them"
    )
    assert "is not an address of gpu-1;" in address_fault(NOWHERE, 18080, "gpu-1")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "0.0.0.0"])
def test_an_address_of_this_machine_has_no_fault(address):
    assert address_fault(address, 0) == ""


def test_a_taken_port_is_no_fault_of_the_address():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert address_fault("127.0.0.1", taken.getsockname()[1]) == ""


def test_a_privileged_port_is_a_sentence_for_who_may_not_take_it():
    first = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    if first <= 80:
        pytest.skip("every user may take port 80 here")
    user = os.geteuid()
    os.seteuid(65534 if user == 0 else user)
    try:
        fault = address_fault("127.0.0.1", 80)
    finally:
        os.seteuid(user)
    assert fault == f"router_port 80 needs a privileged user; choose {first} or higher"


def test_a_port_is_not_looked_for_on_an_address_that_is_not_there(tmp_path):
    with pytest.raises(TargetError) as fault:
        choose_address(tmp_path, NOWHERE, 0)
    assert "bind_address '192.0.2.1' is not an address of this machine" in str(fault.value)


def test_who_listens_where_a_backend_is_asked_is_told_from_who_does_not(listening):
    _, backend = listening
    assert listens(os.getpid(), backend)
    with subprocess.Popen(["sleep", "60"]) as other:
        assert not listens(other.pid, backend)
        other.kill()
