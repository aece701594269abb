"""How servers of scripts end: what cannot start, what dies, and what is stopped."""

import psutil
import pytest
from tests.local.serving.instances import SCORE, score, scripted, wait_until_ready

pytestmark = pytest.mark.local

INIT_RAISES = "def init(): raise RuntimeError('no weights here')\ndef run(raw): return 1\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(INIT_RAISES, "RuntimeError: no weights here", id="init raises"),
        pytest.param("import nothing_by_this_name", "ModuleNotFoundError", id="no import"),
        pytest.param("def init(): pass", "does not have a run() function", id="no run"),
    ],
)
def test_a_script_that_cannot_start_ends_the_process_and_says_why_last(  # noqa: PLR0917
    venv, tmp_path, port, start, text, said
):
    process = start(scripted(venv, tmp_path, port, text))
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 3
    assert "Traceback (most recent call last)" in output
    last = output.splitlines()[-8:]
    assert any("scoring script failed: " in line and said in line for line in last)


ENDS = "import os\nprint('about to end', flush=True)\nos._exit({})\ndef run(data): pass"


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        pytest.param(ENDS.format(1), {}, id="with a status"),
        pytest.param(ENDS.format(0), {}, id="as if it was well"),
        pytest.param(ENDS.format(1), {"WORKER_COUNT": "2"}, id="two workers"),
        pytest.param("import os\nos.kill(os.getpid(), 9)", {}, id="killed, as for its memory"),
    ],
)
def test_a_script_that_ends_its_process_ends_the_server_and_says_so(  # noqa: PLR0917
    venv, tmp_path, port, start, text, variables
):
    process = start(scripted(venv, tmp_path, port, text, environment_variables=variables))
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 3
    said = "scoring script failed: its process ended before init() had returned"
    assert said in output.splitlines()[-8:]
    assert ("about to end" in output) == text.startswith("import os\nprint")


def test_a_server_that_is_stopped_while_it_loads_ends_without_an_error(venv, tmp_path, port, start):
    text = "import os, time\nprint('loads', flush=True)\ntime.sleep(2)\nos._exit(0)"
    process = start(scripted(venv, tmp_path, port, text))
    while "loads" not in process.stdout.readline():
        pass
    process.terminate()
    output, _ = process.communicate(timeout=30)
    assert (process.returncode, "scoring script failed" in output) == (0, False)


def test_a_worker_that_ends_later_is_replaced(venv, tmp_path, port, start):
    process = start(scripted(venv, tmp_path, port, SCORE))
    wait_until_ready(f"http://127.0.0.1:{port}/", process)
    [worker] = psutil.Process(process.pid).children()
    worker.kill()
    worker.wait()
    wait_until_ready(f"http://127.0.0.1:{port}/", process)
    assert score(port, 0).json() == {"who": "blue"}
