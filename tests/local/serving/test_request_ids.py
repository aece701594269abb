"""Which lines of a script's log name the request that they are of."""

from pathlib import Path

import httpx
import pytest
from tests.local.serving.instances import scripted, wait_until_ready

pytestmark = pytest.mark.local

NAMES = """
import logging
def init(): print("init has none")
def run(raw):
    print("printed")
    logging.getLogger("own").warning("own line")
    return 1
"""


def scored(port: int, request_id: str) -> int:
    url, headers = f"http://127.0.0.1:{port}/score", {"x-request-id": request_id}
    return httpx.post(url, content=b"1", headers=headers, trust_env=False).status_code


def test_each_line_of_a_request_has_its_id_and_no_other_line_has(venv, tmp_path, port, start):
    process = start(scripted(venv, tmp_path, port, NAMES))
    wait_until_ready(f"http://127.0.0.1:{port}/", process)
    for asked in ("r-1", "0b5e=:/+@x.y", "x] azmlinfsrv - POST /score 200", '"', "x" * 100, ""):
        assert scored(port, asked) == 200
    process.terminate()
    lines = process.communicate(timeout=60)[0].splitlines()
    ends = [line.split(" ", 4)[-1] for line in lines]
    assert [one for one in ends if "printed" in one] == [
        "azmlinfsrv.print [r-1] - printed",
        "azmlinfsrv.print [0b5e=:/+@x.y] - printed",
        "azmlinfsrv.print - printed",
        "azmlinfsrv.print - printed",
        f"azmlinfsrv.print [{'x' * 100}] - printed",
        "azmlinfsrv.print - printed",
    ]
    assert [one for one in ends if "init has none" in one] == ["azmlinfsrv.print - init has none"]
    assert len([one for one in ends if one.startswith("azmlinfsrv [r-1] - POST /score 200 ")]) == 1
    assert "own line" in lines


NAMES_ITSELF = """
import flask
def init(): pass
def run(data):
    for mine in (7, None, b"r-1", "own-1"):
        flask.g.request_id = mine
        print("printed", mine)
    return 1
"""


def test_a_script_that_sets_the_id_to_what_is_no_text_logs_on(venv, tmp_path, port, start):
    process = start(scripted(venv, tmp_path, port, NAMES_ITSELF))
    wait_until_ready(f"http://127.0.0.1:{port}/", process)
    assert scored(port, "r-1") == 200
    process.terminate()
    lines = process.communicate(timeout=60)[0].splitlines()
    ends = [line.split(" ", 4)[-1] for line in lines]
    assert [one for one in ends if "printed" in one] == [
        "azmlinfsrv.print - printed 7",
        "azmlinfsrv.print - printed None",
        "azmlinfsrv.print - printed b'r-1'",
        "azmlinfsrv.print [own-1] - printed own-1",
    ]


OWN_LOGGING = """
{"version": 1,
 "formatters": {"own": {"format": "mine %(request_id)s %(message)s"}},
 "handlers": {"own": {"class": "logging.StreamHandler", "formatter": "own"}},
 "loggers": {"azmlinfsrv": {"level": "INFO", "handlers": ["own"]}}}
"""


def test_a_users_own_logging_stays_and_may_name_the_request(venv, tmp_path, port, start):
    run = scripted(venv, tmp_path, port, NAMES)
    (Path(run.directory) / "logging.json").write_text(OWN_LOGGING)
    process = start(run)
    wait_until_ready(f"http://127.0.0.1:{port}/", process)
    scored(port, "r-1")
    process.terminate()
    assert "mine r-1 printed" in process.communicate(timeout=60)[0].splitlines()
