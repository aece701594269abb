"""How far logs were sent is written as often as its book says; what is wrong is at once."""

from functools import partial

import pytest
from tests.collector import collecting

from inference_provider.service.log_export import LogExport
from inference_provider.spec.logs import LogSettings
from inference_provider.targets.log_tail import Source, new_lines
from inference_provider.targets.sent_logs import SentLogs, read


class Book:
    """Is written to once in an hour."""

    every_s = 3600.0

    def __init__(self) -> None:
        self.written: list[SentLogs] = []

    def read(self) -> bytes:
        return b""

    def write(self, document: str) -> None:
        self.written.append(read(document.encode()))


@pytest.fixture
def collector():
    with collecting() as found:
        yield found


def test_places_are_written_now_and_then_and_at_the_end_but_faults_at_once(tmp_path, collector):
    log, book = tmp_path / "a.log", Book()
    source = Source("a", partial(new_lines, (log,)), lambda line: {"Message": line.text.decode()})
    settings = LogSettings(otlp_endpoint=collector.url)
    export = LogExport(lambda: [source], lambda: settings, book, "lab")
    for text in ("one\n", "two\n", "three\n"):
        with log.open("a") as file:
            file.write(text)
        export.look()
    assert collector.bodies() == ["one", "two", "three"]
    assert [one.positions["a"].offset for one in book.written] == [4]
    collector.statuses.append(503)
    with log.open("a") as file:
        file.write("four\n")
    export.look()
    assert [one.fault for one in book.written] == ["", "it answered 503"]
    assert book.written[-1].positions["a"].offset == 14
    export.look()
    export.end()
    assert book.written[-1].positions["a"].offset == 19
