"""Which program keeps dying, from what was counted."""

from pathlib import Path

import pytest

from inference_provider.observed import Restarts
from inference_provider.targets.local.ends import read_endings
from inference_provider.workspace.endings import Endings, keeps_dying, restarts

NOW = 1_000_000


def ended(*minutes_ago: int) -> Endings:
    minutes: dict[int, int] = {}
    for ago in minutes_ago:
        minutes[NOW - ago] = minutes.get(NOW - ago, 0) + 1
    return Endings(total=len(minutes_ago), minutes=minutes)


@pytest.mark.parametrize(
    ("ends", "start_limit_s", "dying"),
    [
        pytest.param(ended(), 130, False, id="never"),
        pytest.param(ended(0), 130, False, id="one kill"),
        pytest.param(ended(0, 0), 130, False, id="two kills"),
        pytest.param(ended(0, 0, 0), 130, True, id="three in a minute"),
        pytest.param(ended(0, 5, 9), 130, True, id="three in ten minutes"),
        pytest.param(ended(0, 5, 10), 130, False, id="the third is too long ago"),
        pytest.param(ended(*range(10, 60)), 130, False, id="mended ten minutes ago"),
        pytest.param(ended(0, 7, 14), 300, True, id="loads five minutes and dies"),
        pytest.param(ended(0, 7, 20), 300, False, id="loads five minutes, died twenty ago"),
    ],
)
def test_three_ends_in_ten_minutes_or_four_starts_are_dying(ends, start_limit_s, dying):
    assert keeps_dying(restarts(ends, start_limit_s, NOW)) is dying


def test_restarts_are_told_since_the_start_and_lately():
    found = Endings(total=70, minutes={NOW - 12: 3, NOW - 9: 1, NOW: 2})
    assert restarts(found, 130, NOW) == Restarts(since_start=70, lately=3, minutes=10)


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"a": 1}', '{"a": {"total": "x"}}'])
def test_a_spoiled_count_is_no_count(tmp_path: Path, content: str):
    (tmp_path / "ends.json").write_text(content)
    assert read_endings(tmp_path / "ends.json") == {}
