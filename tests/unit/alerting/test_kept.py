"""What a service that was killed has left in its file, and what the next one makes of it."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.local.server.model import until
from tests.unit.alerting.watched import FIRED, RESOLVED, Service

from inference_provider.errors import OutOfCapacity, TargetError
from inference_provider.targets.private_file import write_private


def test_a_service_that_is_started_again_tells_nothing_twice(service):
    service.look(95)
    for _ in range(3):
        service.start()
        service.look(95)
    assert service.got == [FIRED]
    service.start()
    service.look(5)
    assert service.got == [FIRED, RESOLVED]
    assert service.state.pending == ()


def test_what_was_not_told_when_it_was_killed_is_told_by_the_next(service):
    service.held.clear()
    service.look(95)
    until(lambda: service.sent == 1)
    other = Service(service.file.parent)
    other.look(95, 1)
    assert other.got == [FIRED]
    service.held.set()


def test_a_state_of_a_rule_of_a_newer_release_is_read_and_nothing_fires_twice(service):
    service.look(95)
    document = json.loads(service.file.read_text())
    document["iris"]["busy"]["rule"] |= {"metric": "TokensPerSecond", "snooze": True}
    service.file.write_text(json.dumps(document))
    service.start()
    service.look(95)
    assert service.got == [FIRED]


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"iris": {"busy": {"standing": 1}}}', "[]", '{"iris": {"busy": {"rule": 1}}}'],
)
def test_a_file_that_cannot_be_read_is_as_none(service, text):
    service.file.write_text(text)
    service.start()
    service.look(95)
    assert service.got == [FIRED]


def test_nothing_is_sent_as_long_as_it_cannot_be_written_down_that_it_is(service, tmp_path):
    service.file = tmp_path / "file" / "alerts.json"
    (tmp_path / "file").write_text("in the way")
    service.start()
    for _ in range(9):
        with pytest.raises(TargetError, match="write"):
            service.look(95, 1)
    assert service.sent == 0
    (tmp_path / "file").unlink()
    service.look(95)
    assert service.got == [FIRED]


def test_on_a_full_disk_it_is_written_over_what_was_and_nothing_is_told_twice(service, tmp_path):
    with full_disk(tmp_path / "disk") as fill:
        service.file = tmp_path / "disk" / "service" / "alerts.json"
        service.start()
        service.look(5, 1)
        fill()
        with pytest.raises(OutOfCapacity):
            write_private(service.file.with_name("other"), "{}")
        service.look(95)
        service.start()
        service.look(95)
        assert service.got == [FIRED]
        assert service.state.standing.has_fired


@contextmanager
def full_disk(folder: Path) -> Iterator[Callable[[], None]]:
    """Mount a small file system; what is yielded fills it."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here (needs root)")

    def fill() -> None:
        with (folder / "filler").open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))

    try:
        yield fill
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
