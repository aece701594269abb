"""Files and folders that a person removed under a running workspace: `up` puts them back."""

import os
import shutil
import signal
import socket
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from inference_provider.observed import Kind
from inference_provider.targets.local.assets import Assets
from inference_provider.targets.local.closed import Closed
from inference_provider.targets.local.compute import LocalCompute
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.instances import Instance, Instances
from inference_provider.targets.local.orphans import daemons
from inference_provider.targets.local.records import FileRecords
from inference_provider.targets.local.router import ROUTER
from inference_provider.targets.local.supervisor import ProcessState, Supervisor
from inference_provider.workspace.state import State
from tests.local.conftest import ACTOR, ROUTER_PORT, Load
from tests.local.server.model import until

pytestmark = pytest.mark.local


def workspace(lab):
    return lab.state / "workspaces" / "lab"


def supervisords(lab) -> list[psutil.Process]:
    return daemons(workspace(lab) / "supervisor")


def forget_supervisor(lab, what: str) -> None:
    if what == "folder":
        shutil.rmtree(workspace(lab) / "supervisor")
    else:
        (workspace(lab) / "supervisor" / what).unlink()


@pytest.fixture(params=["folder", "s.sock", "supervisord.pid"])
def lost(lab, request):
    """A workspace that serves, while its supervisord lost a file or its folder."""
    lab.up()
    forget_supervisor(lab, request.param)
    yield lab
    if workspace(lab).exists():
        lab.target.stop("lab", ACTOR)
    assert [line for line in lab.processes() if "serve.py" in line] == []


def test_an_up_replaces_a_supervisord_that_lost_its_folder(lost):
    with Load(lost) as load:
        load.wait_for(50)
        lost.up()
        load.wait_for(sum(load.results.values()) + 50)
    assert sum(load.failed.values()) <= 8  # accepted by the old router while it ended
    assert lost.score().json()["answer"] == "blue"
    assert len(supervisords(lost)) == 1
    assert len([line for line in lost.processes() if "serve.py" in line]) == 2
    assert lost.up() == []


def test_an_up_replaces_instances_of_which_neither_supervisord_nor_a_document_says_more(lost):
    shutil.rmtree(workspace(lost) / "instances")
    with Load(lost) as load:
        load.wait_for(50)
        lost.up()
        load.wait_for(sum(load.results.values()) + 50)
    assert sum(load.failed.values()) <= 8  # accepted by the old router while it ended
    assert len([line for line in lost.processes() if "serve.py" in line]) == 2
    assert lost.up() == []


@pytest.mark.parametrize("lost", ["folder", "s.sock"], indirect=True)
def test_a_deployment_whose_supervisord_lost_its_folder_is_degraded(lost):
    seen = lost.observe(Kind.DEPLOYMENT, "iris/blue")
    assert seen.degraded == "1 of 1 instances serve on, unsupervised: supervisord does not run"


def test_a_stop_ends_a_supervisord_that_lost_its_folder(lost):
    lost.target.stop("lab", ACTOR)
    assert lost.processes() == []
    lost.target.start("lab", ACTOR)
    assert lost.score().json()["answer"] == "blue"


def test_a_down_ends_a_supervisord_that_lost_its_folder(lost):
    lost.down()
    assert lost.processes() == []
    assert not workspace(lost).exists()


ROUTER_FILES = [
    "bootstrap.json",
    "table.json",
    "access.log",
    "cds/cds.json",
    "rds/rds.json",
    "rtds/rtds.json",
    "lds/lds.json",
]


def remove(path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def restart_router(lab) -> None:
    old = lab.supervisor.processes()[ROUTER].pid
    os.kill(old, signal.SIGKILL)
    until(lambda: lab.supervisor.processes()[ROUTER].pid not in (0, old))
    until(lambda: accepts(lab) and lab.score().status_code == 200)


@pytest.mark.parametrize("name", ROUTER_FILES)
def test_an_up_puts_back_a_file_of_the_router_and_no_request_fails(lab, name):
    lab.up()
    remove(workspace(lab) / "router" / name)
    with Load(lab, sleep_s=0) as load:
        load.wait_for(50)
        lab.up()
        load.wait_for(sum(load.results.values()) + 50)
    assert load.failed == {}
    assert_mended(lab)


@pytest.mark.parametrize("name", [".", "admin.sock", "cds", "rtds"])
def test_an_up_replaces_a_router_that_nothing_reaches_any_more(lab, name):
    lab.up()
    remove(workspace(lab) / "router" / name)
    refused_s = []
    with Load(lab, sleep_s=0) as load:
        load.wait_for(50)
        with ThreadPoolExecutor() as beside:
            up = beside.submit(lab.up)
            while not up.done():
                refused_s += [] if accepts(lab) else [time.monotonic()]
                time.sleep(0.01)
            up.result()
        load.wait_for(sum(load.results.values()) + 50)
    assert refused_s[-1] - refused_s[0] < 10  # a busy machine takes 7; nobody waits for drains
    assert_mended(lab)


def accepts(lab) -> bool:
    try:
        socket.create_connection(("127.0.0.1", ROUTER_PORT)).close()
    except ConnectionRefusedError:
        return False
    return True


def assert_mended(lab) -> None:
    """Nothing is left to do, a change reaches the router, and it can be started again."""
    assert lab.up() == []
    lab.document["traffic"][0]["traffic"] = {"blue": 0, "green": 100}
    assert lab.up() == ["update Traffic 'lab/iris'"]
    assert lab.score().json()["answer"] == "green"
    restart_router(lab)
    assert lab.score().json()["answer"] == "green"


@pytest.mark.parametrize("name", ["launch", "programs"])
def test_an_up_puts_back_the_files_from_which_something_is_started_again(lab, name):
    lab.up()
    remove(workspace(lab) / "supervisor" / name)
    gone = "the files from which it is started again are gone"
    assert lab.observe(Kind.WORKSPACE, "lab").degraded == f"router: {gone}"
    assert lab.observe(Kind.DEPLOYMENT, "iris/blue").degraded.endswith(gone)
    with Load(lab, sleep_s=0) as load:
        load.wait_for(50)
        lab.up()
        load.wait_for(sum(load.results.values()) + 50)
    assert load.failed == {}
    assert lab.up() == []
    [blue] = [one for one in lab.supervisor.processes() if one.startswith("iris.blue.")]
    old = lab.supervisor.processes()[blue].pid
    os.kill(old, signal.SIGKILL)
    until(lambda: lab.supervisor.processes()[blue].pid not in (0, old))
    restart_router(lab)


def test_a_change_and_a_start_work_after_the_logs_were_removed(lab):
    lab.up()
    shutil.rmtree(workspace(lab) / "logs")
    lab.write_code("blue", "blue-2")
    assert lab.up() == ["update Deployment 'lab/iris/blue'"]
    assert lab.score().json()["answer"] == "blue-2"
    lab.target.stop("lab", ACTOR)
    shutil.rmtree(workspace(lab) / "logs")
    lab.target.start("lab", ACTOR)
    assert lab.score().json()["answer"] == "blue-2"


class OneProgram(Supervisor):
    """A supervisord that runs this process as its only program."""

    def processes(self) -> dict[str, ProcessState]:
        name = "iris.blue.g1.0"
        return {name: ProcessState(name=name, state="RUNNING", pid=os.getpid())}


def test_an_instance_whose_socket_was_removed_does_not_run():
    with tempfile.TemporaryDirectory(prefix="inf-") as made:
        folders = Folders(Path(made), "lab")
        instances = Instances(folders, FileRecords(folders))
        one = Instance(name="iris.blue.g1.0", generation="g1", port=21000, socket=True)
        instances.save("iris/blue", (one,))
        folders.sockets_folder.mkdir()
        compute = LocalCompute(
            folders,
            instances,
            OneProgram(folders.supervisor_folder),
            Assets(folders),
            closed=Closed(folders, State(FileRecords(folders))),
            devices=lambda: (),
        )
        place = Path(instances.backend(one).socket)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(place))
            server.listen()
            assert [i.runs for i in compute.status().instances["iris/blue"]] == [True]
            place.unlink()
            assert [i.runs for i in compute.status().instances["iris/blue"]] == [False]
