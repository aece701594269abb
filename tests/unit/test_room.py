"""The process in which requests wait, and what it is told and asked; no Envoy is there."""

import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference_provider.router.holding import SOCKET, awake_in, kept_in, with_held
from inference_provider.router.render import RDS
from inference_provider.router.table import Backend, DeploymentEntry, EndpointEntry, RouterTable
from inference_provider.targets.envoy.delivery import Delivery
from inference_provider.targets.envoy.held import Held
from inference_provider.targets.envoy.room import Room
from inference_provider.targets.envoy.room_file import RoomFile
from inference_provider.targets.envoy.room_server import RoomServer

ONE, TWO = (Backend(host="127.0.0.1", port=port) for port in (2000, 2001))


def blue(*backends: Backend, **given) -> DeploymentEntry:
    fields = {"patience_s": 60, "held": not backends, **given}
    return DeploymentEntry(
        name="blue", backends=backends, timeout_ms=1000, max_concurrent=1, **fields
    )


def endpoints(*deployments: DeploymentEntry) -> tuple[EndpointEntry, ...]:
    return (EndpointEntry(name="iris", keys=(), deployments=deployments),)


def settled(before: DeploymentEntry, now: DeploymentEntry, *woken: str) -> tuple[int, bool]:
    """Return the patience of what is published next, and whether it holds requests."""
    there = endpoints(before)
    [found] = with_held(endpoints(now), {*awake_in(there), *woken}, kept_in(there))
    return found.deployments[0].patience_s, found.deployments[0].held


def test_a_deployment_holds_requests_from_its_last_instance_until_the_next_takes_them():
    runs, asked = blue(ONE), blue(ONE, held=False)
    assert settled(runs, blue(held=False)) == (60, True)
    assert settled(blue(), asked) == (60, True)
    assert settled(blue(ONE, held=True), asked) == (60, True)
    assert settled(blue(ONE, held=True), asked, "iris/blue") == (60, False)
    assert settled(runs, blue(TWO, held=False)) == (60, False)
    assert settled(blue(), blue(held=False), "iris/blue") == (60, True)


def test_requests_that_wait_have_their_patience_though_the_rule_goes_until_an_instance_is_there():
    without = {"patience_s": 0, "held": False}
    assert settled(blue(), blue(**without)) == (60, True)
    assert settled(blue(), blue(ONE, **without)) == (60, True)
    assert settled(blue(ONE, held=True), blue(ONE, **without), "iris/blue") == (0, False)
    assert settled(blue(ONE), blue(**without)) == (0, False)


def test_former_patience_outlives_a_publication_that_was_killed(folder: Path):
    there = Delivery(folder)
    base = RouterTable(folder=str(folder), host="127.0.0.1", port=1, metrics_port=2)
    there.write_all(base.model_copy(update={"endpoints": endpoints(blue())}))
    (folder / RDS).write_text("of a publication that was killed")
    assert there.in_force() is None
    held, now = Held(folder, there), blue(ONE, patience_s=0, held=False)
    assert held.settled(endpoints(now)) == endpoints(blue(ONE, held=True))


def test_at_the_start_of_a_router_nobody_is_awake_and_no_former_patience_counts(folder: Path):
    held = Held(folder, Delivery(folder))
    assert held.at_first(endpoints(blue(ONE))) == endpoints(blue(ONE, held=True))
    now = endpoints(blue(ONE, patience_s=0, held=False))
    assert held.at_first(now) == now


def test_what_a_publication_says_is_taken_back_when_it_fails(tmp_path: Path):
    file, reader = RoomFile(tmp_path), RoomFile(tmp_path)
    assert reader.news() is None
    with file.told(endpoints(blue(ONE))):
        assert reader.news() == endpoints(blue(ONE))
        assert reader.news() is None
    with pytest.raises(RuntimeError), file.told(endpoints(blue())):
        assert reader.news() == endpoints(blue())
        raise RuntimeError
    assert reader.news() == endpoints(blue(ONE))
    assert (tmp_path / "waiting.json").stat().st_mode & 0o777 == 0o600
    file.drop()
    assert reader.news() is None


def test_a_publication_that_fails_raises_its_own_fault_and_leaves_no_file_behind(tmp_path: Path):
    file, path = RoomFile(tmp_path), tmp_path / "waiting.json"
    with pytest.raises(RuntimeError), file.told(endpoints(blue())):
        raise RuntimeError
    assert not path.exists()
    with file.told(endpoints(blue())):
        pass
    with pytest.raises(RuntimeError), file.told(endpoints(blue(ONE))):
        path.unlink()
        (path / "that keeps the file from being written").mkdir(parents=True)
        raise RuntimeError


def test_what_cannot_be_read_is_told_once_and_what_was_said_before_holds(tmp_path: Path, capsys):
    reader, path = RoomFile(tmp_path), tmp_path / "waiting.json"
    path.write_text('[{"name": "iris", "shape": "new"}]')
    assert [reader.news(), reader.news()] == [None, None]
    assert capsys.readouterr().err == f"{path} is of another release; run `inferctl up`\n"
    with RoomFile(tmp_path).told(endpoints(blue(ONE))):
        assert reader.news() == endpoints(blue(ONE))


def test_only_deployments_that_may_be_asked_about_are_said_and_no_key_is(tmp_path: Path):
    other, third = (
        blue(ONE, patience_s=0).model_copy(update={"name": name}) for name in ("green", "red")
    )
    found = EndpointEntry(name="iris", keys=("first", "second"), deployments=(blue(), other, third))
    with RoomFile(tmp_path).told((found,), {"iris/green"}):
        assert RoomFile(tmp_path).news() == endpoints(blue(), other)


@pytest.fixture
def folder() -> Iterator[Path]:
    # not tmp_path: a Unix socket's path has a limit of 107 bytes
    made = Path(tempfile.mkdtemp(prefix="room-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def server(folder: Path) -> Iterator[RoomServer]:
    with RoomFile(folder).told(endpoints(blue())), RoomServer(folder) as found:
        threading.Thread(target=found.serve_forever, args=(0.05,), daemon=True).start()
        yield found
        found.shutdown()


def held(folder: Path, deployment: str = "iris/blue") -> socket.socket:
    """Ask as Envoy does for a request without a body."""
    link = socket.socket(socket.AF_UNIX)
    link.connect(str(folder / SOCKET))
    link.sendall(f"POST /hold/{deployment}/score HTTP/1.1\r\nx-no-body: 1\r\n\r\n".encode())
    return link


def answer(link: socket.socket) -> str:
    with link:
        link.settimeout(10)
        return link.recv(1000).decode().split("\r\n")[0]


def test_who_asks_for_news_is_told_at_once_that_a_request_waits(folder: Path, server: RoomServer):
    room = Room(folder)
    first = room.ask()
    assert (first.waiting, first.woken) == ({}, ())
    assert room.ask(first.news, 0.05).news == first.news
    with held(folder):
        told = room.ask(first.news, 10)
        assert told.news > first.news
        while not told.waiting:
            told = room.ask()
        assert told.waiting == {"iris/blue": 1}
        with held(folder):  # no news: an instance is on its way
            assert room.ask(told.news, 0.2).news == told.news
    while room.ask().waiting:
        pass


def test_what_is_published_counts_before_anything_is_answered(folder: Path, server: RoomServer):
    with RoomFile(folder).told(endpoints(blue(ONE))):
        assert answer(held(folder)) == "HTTP/1.1 200 OK"
    with RoomFile(folder).told(endpoints(blue())), held(folder):
        while Room(folder).ask().waiting != {"iris/blue": 1}:
            pass
    assert answer(held(folder, "iris/gone")) == "HTTP/1.1 403 Forbidden"


def test_a_process_that_is_not_there_says_nothing(folder: Path):
    assert Room(folder).ask() is None
    (folder / "waiting.sock").write_text("")
    assert Room(folder).ask() is None


def test_nonsense_is_not_answered_and_does_no_harm(folder: Path, server: RoomServer):
    for asked in (b"", b"{}", b"[1]", b'{"after": "x", "wait_s": 1}', b"\xff" * 5000):
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(str(folder / "waiting.sock"))
            link.sendall(asked + b"\n")
            link.shutdown(socket.SHUT_WR)
            assert link.recv(100) == b""
    assert Room(folder).ask() is not None
