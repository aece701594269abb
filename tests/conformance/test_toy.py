"""A target is small: what it has to bring fits on three pages."""

from pathlib import Path

from tests.conformance import toy

MOST_LINES = 150


def test_the_toy_target_has_fewer_than_150_lines():
    lines = Path(toy.__file__).read_text().splitlines()
    assert sum(bool(line.strip()) for line in lines) < MOST_LINES
