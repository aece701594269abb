"""Changes of a running workspace, under load: nobody's request fails."""

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from inference_provider.errors import NotReady, OutOfCapacity, StillServing, TargetError
from inference_provider.observed import Claim, Kind, ResourceId
from tests.local.conftest import ACTOR, ROUTER_PORT, Load
from tests.local.server.model import until

pytestmark = pytest.mark.local


def test_a_declared_stack_serves_and_a_second_up_changes_nothing(lab):
    made = lab.up()
    assert made == [
        "create Workspace 'lab'",
        "create Environment 'lab/plain:1'",
        "create Endpoint 'lab/iris'",
        "create Deployment 'lab/iris/blue'",
        "create Deployment 'lab/iris/green'",
        "create Traffic 'lab/iris'",
    ]
    answer = lab.score()
    assert (answer.status_code, answer.json()["answer"]) == (200, "blue")
    assert answer.json()["authorization"] is None
    assert lab.score("green").json()["answer"] == "green"
    assert lab.score(key="wrong").status_code == 401
    assert lab.up() == []


def test_a_replacement_of_the_same_gives_new_instances_under_load_and_a_rename_does_not(lab):
    lab.up()
    blue = next(r for r in lab.resources() if r.id.name == "iris/blue")

    def create(entry: str, incarnation: str) -> list[str]:
        claim = Claim(holder="dev", entry=entry, incarnation=incarnation)
        lab.target.apply(blue.model_copy(update={"claim": claim}), ACTOR)
        return sorted(name for name in lab.supervisor.names() if name.startswith("iris.blue."))

    with Load(lab) as load:
        load.wait_for(100)
        first = create("urn::blue", "1")
        renamed = create("urn::renamed", "2")
        replaced = create("urn::renamed", "3")
        load.wait_for(sum(load.results.values()) + 100)
    assert load.failed == {}
    assert renamed == first
    assert [name.rsplit(".", 1)[1] for name in (*first, *replaced)] == ["0", "1"]


def test_changes_under_load_fail_no_request(lab):
    lab.up()
    with Load(lab) as load:
        load.wait_for(200)
        lab.document["traffic"][0]["traffic"] = {"blue": 50, "green": 50}
        assert lab.up() == ["update Traffic 'lab/iris'"]
        lab.write_code("blue", "blue-2")
        assert lab.up() == ["update Deployment 'lab/iris/blue'"]
        assert lab.score("blue").json()["answer"] == "blue-2"
        lab.document["environments"][0]["description"] = "the same packages"
        lab.document["environments"][0]["command"] = ["python", "-u", "serve.py", "{port}"]
        lab.write_model("two")
        assert lab.up() == [
            "create Model 'lab/weights:1'",
            "update Environment 'lab/plain:1'",
            "update Deployment 'lab/iris/blue'",
            "update Deployment 'lab/iris/green'",
        ]
        lab.write_model("three")
        assert lab.up() == ["update Model 'lab/weights:1'", "update Deployment 'lab/iris/blue'"]
        assert lab.score("blue").json()["model"] == "three"
        for count in (3, 1):
            lab.document["deployments"][0]["instance_count"] = count
            assert lab.up() == ["update Deployment 'lab/iris/blue'"]
        endpoint = ResourceId(kind=Kind.ENDPOINT, workspace="lab", name="iris")
        lab.target.rotate_key(endpoint, "secondary", ACTOR)
        load.current_key = lab.key("secondary")
        time.sleep(0.3)
        lab.target.rotate_key(endpoint, "primary", ACTOR)
        load.wait_for(1000, 30)
    assert load.failed == {}
    assert sum(load.results.values()) >= 1000


def test_a_killed_instance_costs_at_most_its_requests_in_flight_and_comes_back(lab):
    lab.document["deployments"][0]["instance_count"] = 2
    lab.up()
    name = next(n for n in lab.supervisor.processes() if n.startswith("iris.blue"))
    pid = lab.supervisor.processes()[name].pid
    with Load(lab) as load:
        load.wait_for(300)
        os.kill(pid, signal.SIGKILL)
        load.wait_for(1500, 30)
    assert sum(load.failed.values()) <= 8
    # killed in its first second, it is started again after a pause
    until(lambda: lab.supervisor.processes()[name].pid not in (0, pid))


def test_a_deployment_that_does_not_start_leaves_the_old_one_serving_and_says_why(lab):
    lab.up()
    lab.write_code("blue", "raise")
    with pytest.raises(NotReady) as fault:
        lab.up()
    assert "RuntimeError: the model is not there" in str(fault.value)
    assert "start Deployment 'lab/iris/blue'" in str(fault.value)
    assert lab.score().json()["answer"] == "blue"
    lab.write_code("blue", "mended")
    assert lab.up() == ["update Deployment 'lab/iris/blue'"]
    assert lab.score().json()["answer"] == "mended"


TELLTALE = """
import os, sys
print("variable", os.environ["PASSWORD"], os.environ["PASSWORD"][:7])
print("argument", sys.argv[1], "of http://ana:by-hand@feed.test/")
print("key", open(sys.argv[2]).read())
sys.exit("that was all")
"""


def test_the_log_that_an_error_quotes_shows_no_secret_that_we_know(lab, monkeypatch):
    lab.up()
    monkeypatch.setenv("TOKEN", "tok-4711")
    keys = str(lab.state / "workspaces" / "lab" / "keys" / "iris.json")
    command = ["python", "-c", TELLTALE, "${env:TOKEN}", keys, "{port}"]
    lab.document["environments"][0]["command"] = command
    lab.document["deployments"][0]["environment_variables"] = {"PASSWORD": "hunter2-0815"}
    with pytest.raises(NotReady) as fault:
        lab.up()
    said = str(fault.value)
    assert "    variable [secret] [secret]\n" in said
    assert "    argument [secret] of http://[secret]@feed.test/\n" in said
    assert '    key {"primary": "[secret]", "secondary": "[secret]"}\n' in said
    assert "    that was all" in said


SCORE = """
import json, time
def init(): pass
def run(raw):
    time.sleep(json.loads(raw).get("sleep_s", 0))
    return {"answer": "ANSWER"}
"""


def write_script(lab, answer: str) -> None:
    """Let blue, alone, be a scoring script in the default server."""
    lab.document["environments"] = [{"name": "plain"}]
    blue = lab.document["deployments"][0]
    blue["code_configuration"] = {"code": "code/script", "scoring_script": "score.py"}
    lab.document["deployments"] = [blue]
    lab.document["traffic"] = [{"endpoint": "iris", "traffic": {"blue": 100}}]
    code = lab.folder / "code" / "script"
    code.mkdir(exist_ok=True)
    (code / "score.py").write_text(SCORE.replace("ANSWER", answer))


def test_a_script_is_rolled_over_on_sockets_that_no_other_user_opens_and_no_request_fails(lab):
    write_script(lab, "first")
    lab.up()
    sockets = lab.state / "workspaces" / "lab" / "sockets"
    [first] = sockets.iterdir()
    assert sockets.stat().st_mode & 0o777 == 0o700
    assert listening_ports(lab) == {ROUTER_PORT}
    write_script(lab, "second")
    with Load(lab, sleep_s=0.01) as load, ThreadPoolExecutor(1) as pool:
        load.wait_for(20)
        slow = pool.submit(lab.score, sleep_s=2.5)
        lab.up()
        assert slow.result().json() == {"answer": "first"}
    assert load.failed == {}
    assert lab.score().json() == {"answer": "second"}
    assert (first.exists(), len(list(sockets.iterdir()))) == (False, 1)


def listening_ports(lab) -> set[int]:
    """Return the ports on which processes of a lab listen, but for the router's metrics."""
    pids = [process.pid for process in lab.supervisor.processes().values()]
    family = [p for pid in pids for p in psutil.Process(pid).children(recursive=True)]
    connections = [c for p in (*map(psutil.Process, pids), *family) for c in p.net_connections()]
    metrics = json.loads((lab.state / "workspaces" / "lab" / "workspace.json").read_text())
    ports = {c.laddr.port for c in connections if c.status == psutil.CONN_LISTEN}
    return ports - {metrics["metrics_port"]}


def test_a_server_that_hangs_while_it_starts_is_named_and_ended(lab):
    lab.up()
    lab.write_code("blue", "hang")
    lab.document["deployments"][0]["start_timeout_s"] = 2
    with pytest.raises(NotReady) as fault:
        lab.up()
    assert "GET /health did not answer 200 to 399 within 2 s" in str(fault.value)
    there = sorted(name.split(".")[1] for name in lab.supervisor.processes() if name != "router")
    assert there == ["blue", "green"]
    assert lab.score().json()["answer"] == "blue"


@pytest.mark.parametrize("status", ["201", "307"])
def test_a_readiness_route_that_answers_another_success_or_a_redirect_is_ready(lab, status):
    blue = lab.document["deployments"][0]
    blue["environment_variables"] = {"READY_STATUS": status}
    lab.document["deployments"] = [blue]
    lab.document["traffic"] = [{"endpoint": "iris", "traffic": {"blue": 100}}]
    lab.up()
    assert lab.score().json()["answer"] == "blue"


def test_a_readiness_route_that_answers_an_error_is_not_ready(lab):
    blue = lab.document["deployments"][0]
    blue |= {"environment_variables": {"READY_STATUS": "404"}, "start_timeout_s": 1}
    with pytest.raises(NotReady, match="GET /health did not answer 200 to 399"):
        lab.up()


def test_a_deployment_with_weight_is_not_deleted(lab):
    lab.up()
    blue = ResourceId(kind=Kind.DEPLOYMENT, workspace="lab", name="iris/blue")
    with pytest.raises(StillServing) as fault:
        lab.target.delete(blue, "lab", ACTOR)
    assert str(fault.value) == (
        "delete Deployment 'lab/iris/blue': it carries 100 % of the traffic; move its weight first"
    )


def test_a_quota_of_instances_is_kept_with_a_sentence(lab):
    lab.document["workspaces"][0]["quota"] = {"max_instances": 1}
    both = lab.document["deployments"]
    lab.document["deployments"] = both[:1]
    lab.up()
    lab.document["deployments"] = both[1:]
    lab.document["traffic"][0]["traffic"] = {}
    with pytest.raises(OutOfCapacity) as fault:
        lab.up()  # blue goes after green has come
    assert "would bring the workspace to 2 instances; its quota is 1" in str(fault.value)


def test_down_leaves_no_process_and_no_folder(lab):
    lab.up()
    pids = [process.pid for process in lab.supervisor.processes().values()]
    lab.down()
    time.sleep(0.1)
    alive = [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
    assert alive == []
    assert not (lab.state / "workspaces" / "lab").exists()


def test_both_keys_rotated_at_once_are_both_new(lab):
    lab.up()
    before = (lab.key("primary"), lab.key("secondary"))
    iris = ResourceId(kind=Kind.ENDPOINT, workspace="lab", name="iris")
    with ThreadPoolExecutor() as pool:
        turns = [
            pool.submit(lab.target.rotate_key, iris, which, ACTOR)
            for which in ("primary", "secondary")
        ]
    assert [turn.exception() for turn in turns] == [None, None]
    assert lab.key("primary") != before[0]
    assert lab.key("secondary") != before[1]
    assert lab.score(key=lab.key("primary")).status_code == 200
    assert lab.score(key=lab.key("secondary")).status_code == 200


def test_a_script_that_its_environments_python_refuses_starts_no_instance(lab):
    lab.up()
    blue = lab.document["deployments"][0]
    blue["code_configuration"]["scoring_script"] = "score.py"
    script = "def init(): ...\ndef run(data): ...\nreturn 1\n"
    (lab.folder / "code" / "blue" / "score.py").write_text(script)
    with pytest.raises(TargetError) as fault:
        lab.up()
    assert "start Deployment 'lab/iris/blue': 'score.py' line 3 is not valid" in str(fault.value)
    assert lab.score().json()["answer"] == "blue"
    assert len(lab.supervisor.processes()) == 3
