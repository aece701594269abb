"""What the workspace service writes down of calls, and what happens where it cannot."""

import pytest
from tests.memory import fill_journal
from tests.unit.test_desk import BEN_CALLS, journal
from tests.unit.web.asking import NOBODY, NOT_NOW, NOT_YOURS, Asking

from inference_provider.access import Principal
from inference_provider.errors import OutOfCapacity, TargetError
from inference_provider.web.log import Log
from inference_provider.web.refusals import MOST_KINDS, WINDOW_S, Refusals


def test_who_is_refused_is_refused_where_that_cannot_be_written_down():
    class Unwritten(Asking):
        def note_refused(self, *_said: str) -> None:
            raise TargetError("write", "journal.jsonl", "Permission denied")

    asking = Unwritten(BEN_CALLS)
    assert asking.get_token("nonsense").json() == NOBODY
    assert asking.get_token(asking.token(Principal("user", "eve"))).json() == NOT_YOURS
    assert asking.log == ["write journal.jsonl: Permission denied"]


def test_nobody_gets_what_the_journal_has_no_room_to_tell():
    role = {"name": "ben-owns", "principal": "ben", "principal_type": "user", "role": "Owner"}
    asking = Asking(role)
    ben = asking.token()
    fill_journal(asking.target, "lab")
    asked = asking.get_token(ben), asking.ask("POST", "/endpoints/rose/listKeys", ben)
    assert [(one.status_code, one.json()) for one in asked] == [(503, NOT_NOW)] * 2
    assert asking.log == ["write the journal: no space left"]
    with pytest.raises(OutOfCapacity):
        asking.token()
    assert asking.get_token("nonsense").status_code == 401  # who is refused is refused
    fill_journal(asking.target, "lab", is_full=False)
    assert asking.get_token(ben).status_code == 200


def test_what_nobody_expected_is_told_by_its_place_and_not_by_its_text():
    written: list[str] = []
    try:
        raise ValueError("eyJ.token")
    except ValueError as fault:
        Log(written.append).fault(fault)
    (line,) = written
    assert line.startswith(f"ValueError, {__file__}:")
    assert "eyJ" not in line


def test_refused_calls_are_written_down_once_and_then_counted(asking):
    eve = asking.token(Principal("user", "eve"))
    for _ in range(5):
        asking.get_token(eve)
        asking.get_token("nonsense")
    asking.now_s += WINDOW_S
    asking.service.refusals.flush()
    refused = [one for one in journal(asking.target) if "refused" in one[1]]
    missing = (
        "no role assignment of user 'eve' allows Microsoft.MachineLearningServices/workspaces"
        "/onlineEndpoints/token/action on endpoints/iris"
    )
    allowed = "(403, not allowed) by the service of"
    valid = "(401, no valid token) by the service of"
    assert refused == [
        ("eve", f"1 call refused {allowed}", "lab", missing),
        ("127.0.0.1", f"1 call refused {valid}", "lab", "not a token"),
        ("eve", f"4 calls refused {allowed}", "lab", missing),
        ("127.0.0.1", f"4 calls refused {valid}", "lab", "not a token"),
    ]


def test_a_flood_of_refused_calls_fills_no_journal():
    told: list[tuple[str, str, str]] = []
    times = [1.0]
    refusals = Refusals(lambda *said: told.append(said), lambda: times[-1])
    for number in range(1000):
        refusals.add(403, f"user-{number}", "none")
    times.append(599.0)
    refusals.flush()
    assert len(told) == MOST_KINDS + 1
    times.append(601.0)
    refusals.flush()
    assert told[-1] == ("989 calls refused (403, not allowed) by the service of", "", "others")


def test_no_token_is_written_down(asking):
    good, bad = asking.token(), "eyJhbGciOiJub25lIn0.e30.c2VjcmV0"
    given = asking.get_token(good).json()["accessToken"]
    asking.get_token(bad)
    said = "".join(one.model_dump_json() for one in asking.target.journal("lab"))
    assert [text for text in (good, bad, given) if text in said] == []
