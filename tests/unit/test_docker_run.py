"""What goes to a command in a container, and what it answers, by each kind of connection."""

import contextlib
import socket
import ssl
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from inference_provider.targets.docker.host import _spoken
from inference_provider.targets.envoy import relay

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
        assert _spoken(client, b"ask\n") == b"hello"
    assert read == expected


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
