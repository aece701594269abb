"""What is remembered of a router, and when it is not believed."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from inference_provider.router import EndpointEntry, RouterTable
from inference_provider.targets.asked_once import AskedOnce
from inference_provider.targets.envoy.delivery import Delivery
from inference_provider.targets.envoy.table_file import TableFile


def table(folder: Path, *names: str) -> RouterTable:
    keys = (SecretStr("first"), SecretStr("second"))
    return RouterTable(
        folder=str(folder),
        host="127.0.0.1",
        port=1,
        metrics_port=2,
        endpoints=tuple(EndpointEntry(name=name, keys=keys) for name in names),
    )


@pytest.fixture
def written(tmp_path: Path) -> RouterTable:
    """A router's files, and the table that they serve."""
    served = table(tmp_path, "iris", "chat")
    Delivery(tmp_path).write_all(served)
    return served


def remembered(folder: Path) -> RouterTable | None:
    found = TableFile(folder).in_force()
    return found.table if found else None


def test_what_was_written_is_remembered_with_its_keys(tmp_path: Path, written: RouterTable):
    assert remembered(tmp_path) == written
    assert oct((tmp_path / "table.json").stat().st_mode) == "0o100600"


def test_nothing_is_remembered_of_a_folder_that_is_empty(tmp_path: Path):
    assert remembered(tmp_path) is None


@pytest.mark.parametrize("file", ["cds/cds.json", "lds/lds.json", "rds/rds.json", "rtds/rtds.json"])
def test_a_file_that_was_edited_and_says_its_version_still_is_not_believed(
    tmp_path: Path, written: RouterTable, file: str
):
    text = (tmp_path / file).read_text()
    (tmp_path / file).write_text(text.replace('"resources": [', '"resources": [ '))
    assert remembered(tmp_path) is None
    (tmp_path / file).write_text(text)
    assert remembered(tmp_path) == written


@pytest.mark.parametrize("file", ["cds/cds.json", "lds/lds.json", "rds/rds.json", "rtds/rtds.json"])
@pytest.mark.parametrize("text", [None, "", '{"version_info": "another", "resources": []}'])
def test_a_table_of_other_files_than_these_is_not_believed(
    tmp_path: Path, written: RouterTable, file: str, text: str | None
):
    known = TableFile(tmp_path)
    assert known.in_force() is not None
    if text is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_text(text)
    assert known.in_force() is None
    last = known.last()
    assert last is not None
    assert last.table == written


@pytest.mark.parametrize("text", ["", "{}", '{"table": ', "[5]"])
def test_a_spoiled_table_is_none(tmp_path: Path, written: RouterTable, text: str):
    (tmp_path / "table.json").write_text(text)
    assert TableFile(tmp_path).last() is None


def test_a_field_of_a_newer_release_is_ignored(tmp_path: Path, written: RouterTable):
    path = tmp_path / "table.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "callers": ["ann"]}))
    assert remembered(tmp_path) == written


def test_what_cannot_be_remembered_is_forgotten(tmp_path: Path, written: RouterTable):
    (tmp_path / "table.json").unlink()
    (tmp_path / "table.json").mkdir()
    known = TableFile(tmp_path)
    known.remember(table(tmp_path, "other"))
    assert known.in_force() is None


def test_who_changed_one_endpoint_remembers_all(tmp_path: Path, written: RouterTable):
    known = TableFile(tmp_path)
    for names in (("iris", "chat"), ("iris",), (), ("new", "iris")):
        known.remember(table(tmp_path, *names))
        assert remembered(tmp_path) == table(tmp_path, *names)


def test_those_who_ask_in_the_same_moment_get_one_answer_and_nobody_an_old_one():
    asked: list[int] = []
    gate = threading.Event()

    def ask() -> int:
        asked.append(len(asked))
        gate.wait(5)
        return len(asked)

    question = AskedOnce(ask)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(question)
        while not asked:
            time.sleep(0.001)
        others = [pool.submit(question) for _ in range(8)]
        time.sleep(0.05)
        gate.set()
        assert first.result() == 1
        assert {one.result() for one in others} == {2}
    assert question() == 3


def test_a_question_that_fails_is_asked_again():
    answers: Iterator[ValueError | int] = iter([ValueError("silent"), 5])

    def ask() -> int:
        found = next(answers)
        if isinstance(found, ValueError):
            raise found
        return found

    question = AskedOnce(ask)
    with pytest.raises(ValueError, match="silent"):
        question()
    assert question() == 5
