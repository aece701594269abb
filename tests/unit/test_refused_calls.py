"""Which calls a router refused, from the end of its access log to the journal."""

import json
from datetime import UTC, datetime

from inference_provider.targets.envoy.refused import READ_BYTES, counted, refused_calls
from inference_provider.workspace.journal import refusals
from inference_provider.workspace.statuses import RefusedCalls, RouterStatus


def line(second: int, status: int = 401, client: str = "10.0.0.7", **more) -> str:
    found = {
        "ts": f"2026-11-26T21:00:{second:02}.250Z",
        "endpoint": "iris",
        "client": client,
        "status": status,
        "upstream": None,
    }
    return json.dumps(found | more)


def told(log) -> list[tuple[str, int, str, int, int]]:
    found = refused_calls(log)
    return [(c.endpoint, c.status, c.client, c.calls, c.last.second) for c in found]


def test_calls_of_a_client_that_were_refused_alike_are_counted_with_the_last_of_them(tmp_path):
    log = tmp_path / "access.log"
    lines = [line(1), line(2, client="10.0.0.8"), line(3), line(4, 403), line(5, 200)]
    log.write_text("\n".join(lines) + "\n")
    assert told(log) == [
        ("iris", 401, "10.0.0.8", 1, 2),
        ("iris", 401, "10.0.0.7", 2, 3),
        ("iris", 403, "10.0.0.7", 1, 4),
    ]


def test_what_a_model_refuses_is_its_own_answer(tmp_path):
    log = tmp_path / "access.log"
    log.write_text(line(1, 429, upstream="127.0.0.1:21000") + "\n")
    assert told(log) == []


def test_a_line_that_is_half_written_or_of_an_older_release_is_left_out(tmp_path):
    log = tmp_path / "access.log"
    older = json.dumps({"status": 401, "upstream": None, "endpoint": "iris"})
    log.write_text(f"{older}\nnull\n[1]\n{line(1)}\n{line(2)[:40]}")
    assert told(log) == [("iris", 401, "10.0.0.7", 1, 1)]


def test_of_a_long_log_the_end_is_read(tmp_path):
    log = tmp_path / "access.log"
    log.write_text(line(1, 403) + "\n" + "x" * READ_BYTES + f"\n{line(2)}\n")
    assert told(log) == [("iris", 401, "10.0.0.7", 1, 2)]


def test_without_a_log_nothing_was_refused(tmp_path):
    assert refused_calls(tmp_path / "access.log") == ()


def call(client: str, calls: int, second: int) -> RefusedCalls:
    last = datetime(2026, 11, 26, 21, 0, second, tzinfo=UTC)
    return RefusedCalls(endpoint="iris", status=429, client=client, calls=calls, last=last)


def test_of_several_routers_they_are_added_up():
    found = counted([call("10.0.0.7", 3, 9), call("10.0.0.8", 1, 1), call("10.0.0.7", 2, 5)])
    assert found == (call("10.0.0.8", 1, 1), call("10.0.0.7", 5, 9))


def test_at_most_fifty_are_told_and_the_newest():
    found = counted(call(f"10.0.0.{n}", 1, n) for n in range(59))
    assert (len(found), found[0].client) == (50, "10.0.0.9")


def test_the_journal_names_the_client_the_endpoint_and_why():
    entry, one = refusals(
        "demo", RouterStatus(refused=(call("10.0.0.7", 3, 9), call("10.0.0.8", 1, 9)))
    )
    assert f"{entry.action} {entry.id} by {entry.actor}" == (
        "3 calls refused (429, above a limit) of Endpoint 'demo/iris' by 10.0.0.7"
    )
    assert one.action == "1 call refused (429, above a limit) of"
