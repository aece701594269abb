"""Which end KEDA is told for a start and a duration, and what it cannot be told."""

import pytest

from inference_provider.spec.cron import parsed
from inference_provider.targets.kubernetes.cron_windows import NotExpressible, window

HOUR = 3600


@pytest.mark.parametrize(
    ("cron", "duration_s", "start", "end"),
    [
        ("0 8 * * 1-5", 10 * HOUR, "0 8 * * 1-5", "0 18 * * 1-5"),
        ("30 20 * * *", 8 * HOUR, "30 20 * * *", "30 4 * * *"),
        ("0 20 * * fri", 60 * HOUR, "0 20 * * 5", "0 8 * * 1"),
        ("0 22 * * 6,7", 3 * HOUR, "0 22 * * 0,6", "0 1 * * 0,1"),
        ("*/30 * * * *", 600, "0,30 * * * *", "10,40 * * * *"),
        ("*/15 6-9 * JAN-mar ?", 60, "0-45/15 6-9 * 1-3 *", "1-46/15 6-9 * 1-3 *"),
        ("0 8,20 * * *", 8 * HOUR, "0 8,20 * * *", "0 4,16 * * *"),
        ("0 22 1 * *", 3 * HOUR, "0 22 1 * *", "0 1 2 * *"),
        ("0 22 1,15 * 1", 3 * HOUR, "0 22 1,15 * 1", "0 1 2,16 * 2"),
        ("0 0 * * 1-5", 24 * HOUR, "0 0 * * 1-5", "0 0 * * 2-6"),
    ],
)
def test_the_end_is_the_start_moved(cron, duration_s, start, end):
    assert window(cron, duration_s) == (start, end)


OVERLAP = "; KEDA's cron knows no windows that overlap"
OTHER_DAY = "it ends on another day, which no cron names in every month; end it before midnight"


@pytest.mark.parametrize(
    ("cron", "duration_s", "told"),
    [
        ("0 8 * * *", 90, "it lasts 90 s, and KEDA's cron knows whole minutes"),
        ("0 * * * *", 5400, "it lasts 90 minutes, and begins again after 60" + OVERLAP),
        ("0 12 * * *", 86_460, "it lasts 1441 minutes, and begins again after 1440" + OVERLAP),
        ("0 8 * * 1,2", 25 * HOUR, "it lasts 1500 minutes, and begins again after 1440" + OVERLAP),
        ("0 0 * * *", 24 * HOUR, "it never ends"),
        ("0 0 30 2 *", HOUR, "'0 0 30 2 *' never comes"),
        ("0 22 31 * *", 3 * HOUR, OTHER_DAY),
        ("0 22 28 2 *", 3 * HOUR, OTHER_DAY),
        ("0 22 * 2 mon", 3 * HOUR, OTHER_DAY),
        (
            "0 8,20 * * 1-5",
            8 * HOUR,
            "no one cron names all of its ends; write one schedule for each start",
        ),
        (
            "5,50 8 * * *",
            15 * 60,
            "no one cron names all of its ends; write one schedule for each start",
        ),
    ],
)
def test_what_no_two_crons_say_is_refused(cron, duration_s, told):
    with pytest.raises(NotExpressible) as refused:
        window(cron, duration_s)
    assert str(refused.value) == told


@pytest.mark.parametrize(
    ("cron", "told"),
    [
        ("0 8 * *", "cron '0 8 * *' has 4 of 5 fields: minute, hour, day of the month"),
        ("@daily", "cron '@daily' has 1 of 5 fields"),
        ("60 8 * * *", "cron has '60' as its minute; expected 0 to 59, such as 0-59/2"),
        ("0 8 0 * *", "cron has '0' as its day of the month; expected 1 to 31"),
        ("0 8 * * 8", "cron has '8' as its day of the week; expected 0 to 7"),
        ("0 17-8 * * *", "cron has '17-8' as its hour; expected 0 to 23"),
        ("*/0 * * * *", "cron has '*/0' as its minute; expected 0 to 59"),
        ("0 8 * foo *", "cron has 'foo' as its month; expected 1 to 12"),
        ("0 -1 * * *", "cron has '-1' as its hour; expected 0 to 23"),
        ("0 8 ,1 * *", "cron has '' as its day of the month; expected 1 to 31"),
    ],
)
def test_what_is_no_cron_is_told_by_its_field(cron, told):
    with pytest.raises(ValueError, match="cron") as refused:
        parsed(cron)
    assert str(refused.value).startswith(told)
