"""Answers of endpoints, which a model may write at any length: as much as is shown is read."""

import gzip
from collections.abc import Iterator

import httpx
import pytest
from tests.browser import words
from tests.unit.console.conftest import OfStack

from inference_provider.cli.answer_text import beginning, error_text

MIB = 1 << 20


class Endless(httpx.SyncByteStream):
    """A body that does not end; it says how much of it was read."""

    read = 0

    def __iter__(self) -> Iterator[bytes]:
        while self.read < 64 * MIB:  # or the test would not end without what it tests
            self.read += 65536
            yield b"x" * 65536


@pytest.fixture
def endless():
    return Endless()


def test_an_error_without_an_end_is_read_as_far_as_it_is_shown(endless):
    answer = httpx.Response(500, stream=endless)
    assert error_text(answer) == "x" * 65536
    assert endless.read <= MIB


def test_a_compressed_answer_is_no_longer_than_another():
    packed = gzip.compress(b"x" * MIB)
    headers = {"content-encoding": "gzip"}
    answer = httpx.Response(200, stream=httpx.ByteStream(packed), headers=headers)
    assert beginning(answer, 5) == (b"xxxxx", True)


@pytest.mark.parametrize(("most", "told"), [(2, (b"ab", True)), (3, (b"abc", False))])
def test_an_answer_is_said_to_be_cut_where_there_is_more(most, told):
    answer = httpx.Response(200, stream=httpx.ByteStream(b"abc"))
    assert beginning(answer, most) == told


def test_the_test_page_and_the_command_show_the_beginning_of_such_an_error(served, endless):
    transport = httpx.MockTransport(lambda _request: httpx.Response(422, stream=endless))
    shown = OfStack(served, transport=transport).post(
        "/endpoints/default/iris/test", {"body": "{}"}
    )
    assert "answered 422 xxxxx" in words(shown)
    told = served("score", "iris", said="[1]", transport=transport)
    assert "answered 422 xxxxx" in told.stderr
    assert endless.read <= MIB
