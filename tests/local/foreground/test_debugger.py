"""An editor attaches to the scoring script of a deployment in the foreground."""

import time
from contextlib import closing
from threading import Thread

import httpx
import pytest

from tests.local.foreground.debug_client import DebugClient
from tests.ports import own_port

pytestmark = pytest.mark.local

SCRIPT = """\
def init():
    pass

def run(raw_data):
    seen = raw_data.upper()
    return {"seen": seen}
"""


def test_an_editor_stops_in_the_script_for_longer_than_a_request_may_take(lab, serve):
    (lab.folder / "code" / "debugged").mkdir()
    script = lab.folder / "code" / "debugged" / "score.py"
    script.write_text(SCRIPT)
    lab.document["environments"].append({"name": "default"})
    lab.document["deployments"] = [
        {
            "endpoint": "iris",
            "name": "blue",
            "environment": "default@latest",
            "code_configuration": {"code": "code/debugged", "scoring_script": "score.py"},
            "request_settings": {"request_timeout_ms": 1000},
        }
    ]
    lab.document["traffic"] = []
    port = own_port()
    run = serve("--debugpy", str(port))
    run.wait_for("is ready", timeout_s=180)
    answers: list[httpx.Response] = []
    with closing(DebugClient(port, str(script), 6)) as first:
        # the server's own process is found first, then the worker in which the script is
        worker = first.event("debugpyAttach")
        with closing(DebugClient(port, str(script), 6, worker)) as editor:
            asking = Thread(target=lambda: answers.append(run.score(text="hi")))
            asking.start()
            stopped = editor.event("stopped")
            [frame, *_] = editor.ask("stackTrace", threadId=stopped["threadId"])["stackFrames"]
            found = editor.ask("evaluate", expression="seen", frameId=frame["id"])
            time.sleep(2)  # longer than the deployment lets a request take
            editor.ask("continue", threadId=stopped["threadId"])
            asking.join()
    assert stopped["reason"] == "breakpoint"
    assert (frame["name"], frame["line"]) == ("run", 6)
    assert found["result"] == '\'{"TEXT":"HI"}\''
    assert [one.json() for one in answers] == [{"seen": '{"TEXT":"HI"}'}]
