"""What goes to a command in a container, and what it answers, by each kind of connection."""

import contextlib
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, cast

import pytest

from inference_provider.errors import TargetUnreachable
from inference_provider.router.table import Backend
from inference_provider.targets.docker.router import DockerRouter
from inference_provider.targets.docker.streams import spoken
from inference_provider.targets.envoy import relay
from inference_provider.targets.memory_records import MemoryRecords

HELLO = b"\x01\x00\x00\x00" + struct.pack(">I", 5) + b"hello"


def _context(protocol) -> ssl.SSLContext:
    """Encrypts without a certificate."""
    context = ssl.SSLContext(protocol)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AECDH:@SECLEVEL=0")
    return context


@contextlib.contextmanager
def answering(by_tls):
    """A command that reads one line and, without TLS, the end; yields the client's side."""
    ours, theirs = socket.socketpair()
    read: list[bytes] = []

    def run() -> None:
        with _wrapped(theirs, ssl.PROTOCOL_TLS_SERVER, by_tls, server_side=True) as command:
            while not (read and read[-1].endswith(b"\n")):
                read.append(command.recv(100))
            if not by_tls:
                read.append(command.recv(100))
            command.sendall(HELLO)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    with _wrapped(ours, ssl.PROTOCOL_TLS_CLIENT, by_tls) as client:
        client.settimeout(5)
        yield client, read
    thread.join(5)


def _wrapped(given, protocol, by_tls, **more):
    return _context(protocol).wrap_socket(given, **more) if by_tls else given


@pytest.mark.parametrize(
    ("by_tls", "expected"), [(True, [b"ask\n"]), (False, [b"ask\n", b""])], ids=["TLS", "a socket"]
)
def test_a_command_is_answered_by_tls_and_reads_the_end_of_its_input_without(by_tls, expected):
    with answering(by_tls) as (client, read):
        assert spoken(client, b"ask\n", 5) == b"hello"
    assert read == expected


@pytest.mark.parametrize("by_tls", [True, False], ids=["TLS", "a socket"])
@pytest.mark.parametrize("begun", [b"", HELLO], ids=["silent", "endless"])
def test_a_command_that_does_not_end_is_waited_for_as_long_as_it_may_take(by_tls, begun):
    ours, theirs = socket.socketpair()
    given_up = threading.Event()

    def stall() -> None:
        with _wrapped(theirs, ssl.PROTOCOL_TLS_SERVER, by_tls, server_side=True) as command:
            command.sendall(begun)
            given_up.wait(10)

    thread = threading.Thread(target=stall)
    thread.start()
    with _wrapped(ours, ssl.PROTOCOL_TLS_CLIENT, by_tls) as client:
        began_s = time.monotonic()
        with pytest.raises(TimeoutError):
            spoken(client, b"ask\n", 0.3)
        took_s = time.monotonic() - began_s
        given_up.set()
    thread.join()
    assert 0.2 < took_s < 3


class Late:
    """A host whose router answers nothing in time."""

    def __init__(self):
        self.limits = []

    def containers(self, _filters):
        return []

    def run(self, _container, _command, _said, limit_s):
        self.limits.append(limit_s)
        return 124, f"nothing within {limit_s:g} s".encode()


def test_a_router_that_does_not_answer_in_time_is_told_and_may_take_as_long_as_its_probe():
    host = Late()
    router = DockerRouter(cast("Any", host), cast("Any", MemoryRecords("lab")), lambda: None)
    with pytest.raises(TargetUnreachable) as told:
        router.in_force()
    assert str(told.value) == (
        "ask the router: its agent does not answer: nothing within 120 s; run this again"
    )
    with pytest.raises(TargetUnreachable):
        router.answers(Backend(host="172.18.0.2", port=5001), "/", 600, 2)
    assert host.limits == [120, 720]


def test_a_relay_waits_for_one_line_and_for_no_end(tmp_path):
    with socket.socket(socket.AF_UNIX) as agent:
        agent.settimeout(10)
        agent.bind(str(tmp_path / "agent.sock"))
        agent.listen()
        command = [sys.executable, "-I", "-S", str(Path(relay.__file__)), agent.getsockname()]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe) as started:
            assert started.stdin is not None
            assert started.stdout is not None
            started.stdin.write(b'{"ask": "status"}\n')
            started.stdin.flush()
            asked, _ = agent.accept()
            with asked:
                asked.settimeout(5)
                got = [asked.recv(100), asked.recv(100)]
                asked.sendall(b'{"answer": 1}')
            said = started.stdout.read()
            started.stdin.close()
    assert (got, said) == ([b'{"ask": "status"}\n', b""], b'{"answer": 1}')
