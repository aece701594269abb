"""What is asked of a command in a container, and what it answers, by each kind of connection."""

import contextlib
import itertools
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.conformance.labs import wait_until
from tests.growth import EIGHT_TIMES, growth

from inference_provider.errors import TargetUnreachable
from inference_provider.router.table import Backend
from inference_provider.targets.docker import conversation
from inference_provider.targets.docker.conversation import Command
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.router import DockerRouter
from inference_provider.targets.envoy import relay
from inference_provider.targets.memory_records import MemoryRecords

RELAY = Command("c0ffee", ("relay",))
BY = pytest.mark.parametrize("by_tls", [True, False], ids=["TLS", "a socket"])
Script = Callable[[int], Iterator[Iterable[bytes]]]
"""By a command's number: the parts in which it answers each line, and then it ends."""


def _context(protocol) -> ssl.SSLContext:
    """Encrypts without a certificate."""
    context = ssl.SSLContext(protocol)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AECDH:@SECLEVEL=0")
    return context


def _wrapped(given, protocol, by_tls, **more):
    return _context(protocol).wrap_socket(given, **more) if by_tls else given


def part(text: bytes, number: int = 1) -> bytes:
    return struct.pack(">BxxxL", number, len(text)) + text


class Host(DockerHost):
    """Its commands do what a script says."""

    def __init__(self, script: Script, by_tls=False) -> None:
        super().__init__("docker")
        self.script, self.by_tls = script, by_tls
        self.inspected: list[str] = []
        self.numbers = itertools.count(1)
        self.running: dict[int, threading.Thread] = {}

    @contextlib.contextmanager
    def asked(self, operation, resource) -> Iterator[Any]:
        yield SimpleNamespace(
            exec_create=lambda *_given, **_more: {"Id": str(next(self.numbers))},
            exec_start=self._start,
            exec_inspect=self.inspected.append,
        )

    def _start(self, id_, socket):
        ours, theirs = _pair()
        thread = threading.Thread(target=self._run, args=(theirs, int(id_)), daemon=True)
        thread.start()
        self.running[int(id_)] = thread
        return _wrapped(ours, ssl.PROTOCOL_TLS_CLIENT, self.by_tls)

    def _run(self, theirs, number) -> None:
        with (
            _wrapped(theirs, ssl.PROTOCOL_TLS_SERVER, self.by_tls, server_side=True) as command,
            contextlib.suppress(OSError),
        ):
            for parts in self.script(number):
                read = b""
                while not read.endswith(b"\n"):
                    read += (got := command.recv(100))
                    if not got:
                        return
                for one in parts:
                    command.sendall(one)

    def say(self, limit_s=5.0, command=RELAY, again=True) -> bytes:
        return self.ask(command, b"ask\n", limit_s, again=again)

    def wait_ended(self, *numbers: int) -> None:
        for number in numbers:
            self.running[number].join(5)
            assert not self.running[number].is_alive()


def _pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair()


@pytest.fixture
def host_of():
    made = []

    def host(script: Script, by_tls=False) -> Host:
        made.append(Host(script, by_tls))
        return made[-1]

    yield host
    for one in made:
        one.close()
        one.wait_ended(*one.running)


def always(number: int) -> Iterator[list[bytes]]:
    while True:
        yield [part(b"%d\n" % number)]


@BY
def test_a_command_that_runs_is_asked_again_and_its_parts_are_put_together(host_of, by_tls):
    whole = part(b"b\n")
    answers = [[part(b"a"), part(b"warning\n", 2), whole[:3], whole[3:]], [part(b"c\n")]]
    host = host_of(lambda _number: iter(answers), by_tls)
    assert [host.say(), host.say()] == [b"ab\n", b"c\n"]
    assert len(host.running) == 1


@BY
def test_a_relay_that_has_ended_is_replaced(host_of, by_tls):
    host = host_of(lambda number: iter([[part(b"%d\n" % number)]]), by_tls)
    assert host.say() == b"1\n"
    host.wait_ended(1)
    assert host.say() == b"2\n"
    assert host.inspected == []


def test_one_that_ends_in_mid_answer_is_asked_once_and_the_engine_is_asked_why(host_of):
    host = host_of(lambda number: iter([[part(b"half"), part(b" broken\n", 2)]]))
    assert host.say() == b"half broken"
    assert (len(host.running), host.inspected) == (1, ["1"])


@BY
@pytest.mark.parametrize("begun", [[], [part(b"begun")]], ids=["silent", "endless"])
def test_one_that_does_not_answer_in_time_is_ended_and_not_asked_again(host_of, by_tls, begun):
    given_up = threading.Event()

    def late():
        yield from begun
        assert given_up.wait(5)
        yield part(b"late\n")

    def script(number):
        if number == 1:
            yield late()
        yield from always(number)

    host = host_of(script, by_tls)
    began_s = time.monotonic()
    assert host.say(limit_s=0.3) == b"nothing within 0.3 s"
    assert 0.2 < time.monotonic() - began_s < 3
    given_up.set()
    host.wait_ended(1)
    assert (host.say(), host.inspected) == (b"2\n", [])


def test_none_that_runs_is_asked_where_it_might_not_answer_nor_of_another_container(host_of):
    host = host_of(always)
    other = Command("beef", RELAY.words)
    assert host.say() == b"1\n"
    assert [host.say(again=False), host.say(command=other)] == [b"2\n", b"3\n"]
    assert [host.say(), host.say(command=other)] == [b"2\n", b"3\n"]


def test_one_that_nobody_has_asked_for_long_is_ended(host_of, monkeypatch):
    monkeypatch.setattr(conversation, "_IDLE_S", 0.1)
    host = host_of(always)
    assert host.say() == b"1\n"
    time.sleep(0.2)
    assert host.say() == b"2\n"
    host.wait_ended(1)


def test_each_who_asks_at_once_has_one_and_eight_stay_until_the_host_is_closed(host_of):
    meet = threading.Barrier(11, timeout=5)

    def script(number):
        meet.wait()
        yield from always(number)

    host = host_of(script)
    said: list[bytes] = []
    asking = [threading.Thread(target=lambda: said.append(host.say())) for _ in range(11)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join(5)
    assert sorted(said, key=int) == [b"%d\n" % number for number in range(1, 12)]
    wait_until(lambda: sum(thread.is_alive() for thread in host.running.values()) == 8)
    host.close()
    host.wait_ended(*range(1, 12))


class Late:
    """A host whose router answers nothing in time."""

    def __init__(self):
        self.limits = []

    def containers(self, _filters):
        return []

    def ask(self, _command, _line, limit_s, again):
        assert not again
        self.limits.append(limit_s)
        return f"nothing within {limit_s:g} s".encode()


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


@contextlib.contextmanager
def relaying(folder: Path, text: str) -> Iterator[tuple[Any, socket.socket]]:
    with socket.socket(socket.AF_UNIX) as agent:
        agent.settimeout(10)
        agent.bind(str(folder / "agent.sock"))
        agent.listen()
        command = [sys.executable, "-I", "-S", "-c", text, agent.getsockname()]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe) as started:
            yield started, agent


def test_a_relay_passes_on_one_line_after_another_until_its_input_ends(tmp_path):
    got, said = [], []
    with relaying(tmp_path, Path(relay.__file__).read_text()) as (started, agent):
        for number in (1, 2):
            started.stdin.write(b'{"ask": "status"}\n')
            started.stdin.flush()
            asked, _ = agent.accept()
            with asked:
                asked.settimeout(5)
                got.append([asked.recv(100), asked.recv(100)])
                asked.sendall(b'{"answer": %d}' % number)
            said.append(started.stdout.readline())
        started.stdin.close()
        assert started.wait(5) == 0
    assert got == [[b'{"ask": "status"}\n', b""]] * 2
    assert said == [b'{"answer": 1}\n', b'{"answer": 2}\n']


def test_a_relay_that_nobody_asks_ends_by_itself(tmp_path):
    text = Path(relay.__file__).read_text()
    assert "_IDLE_S = 60.0" in text
    with relaying(tmp_path, text.replace("_IDLE_S = 60.0", "_IDLE_S = 0.1")) as (started, _agent):
        assert started.wait(5) == 0


def test_the_time_for_an_answer_grows_with_its_length(host_of):
    def ask(parts: int) -> None:
        said = [*[part(b"x" * 1000)] * parts, part(b"\n")]
        assert len(host_of(lambda _number: iter([said])).say(30)) == 1000 * parts + 1

    assert growth(ask, 2000) < EIGHT_TIMES


def test_a_command_that_never_ends_its_line_is_not_heard_to_the_end(host_of):
    host = host_of(lambda _number: iter([itertools.repeat(part(b"x" * 1_000_000))]))
    assert 64 << 20 < len(host.say(60)) < 66 << 20
    host.wait_ended(1)
