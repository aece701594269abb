"""Records in a volume of a Docker host: whole or not at all, whoever dies, from any client."""

import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime

import pytest

from inference_provider.errors import Busy, TargetUnreachable
from inference_provider.observed import Actor, JournalEntry, Kind, ResourceId
from inference_provider.spec.target import DockerPlace
from inference_provider.targets.docker import names
from inference_provider.targets.docker.archive import packed
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.records import HostRecords
from inference_provider.targets.docker.volume_log import RING

pytestmark = pytest.mark.docker
ANN = Actor(user="ann", command="pytest")


@pytest.fixture
def records(host):
    made = HostRecords(host, f"rec{os.getpid()}")
    made.make()
    yield made
    made.delete()


@pytest.fixture
def again(records):
    """Open the same records as another client does."""
    hosts = []

    def opened() -> HostRecords:
        hosts.append(DockerHost("docker"))
        return HostRecords(hosts[-1], records.workspace)

    yield opened
    for host in hosts:
        host.close()


def test_an_edit_is_seen_by_others_as_a_whole_when_it_ends(records, again):
    with records.edit():
        records.put("a", "x", "1")
        records.put("a", "y", "2")
        assert records.read("a", "x") == b"1"
        assert again().section("a") == {}
    assert again().section("a") == {"x": b"1", "y": b"2"}


def test_an_edit_that_raises_leaves_nothing(records, again):
    records.put("a", "x", "1")
    with pytest.raises(ValueError, match="no"), records.edit():
        records.put("a", "x", "2")
        records.drop("a", "x")
        raise ValueError("no")
    assert (records.read("a", "x"), again().read("a", "x")) == (b"1", b"1")


class Losing(DockerHost):
    """A host of which the answer to a write gets lost once."""

    loses = False

    def put_files(self, *given):
        super().put_files(*given)
        if self.loses:
            self.loses = False
            raise TargetUnreachable("write to", "the records", "connection reset", "run this again")


def test_an_edit_whose_answer_is_lost_is_taken_back(records, again):
    records.put("a", "x", "1")
    host = Losing("docker")
    own = HostRecords(host, records.workspace)
    assert own.read("a", "x") == b"1"
    host.loses = True
    with pytest.raises(TargetUnreachable, match="connection reset"), own.edit():
        own.put("a", "x", "2")
        own.put("a", "y", "2")
    assert (own.section("a"), again().section("a")) == ({"x": b"1"}, {"x": b"1"})
    own.put("a", "x", "3")
    assert again().section("a") == {"x": b"3"}
    host.close()


def test_more_edits_than_the_ring_has_files_lose_nothing(records, again):
    for number in range(2 * RING + 5):
        records.put("a", str(number % 3), str(number))
    assert again().section("a") == {"0": b"132", "1": b"130", "2": b"131"}


def test_a_torn_revision_is_not_there_and_its_file_is_used_again(records, again, host):
    records.put("a", "x", "1")
    torn = b'2 0123\n{"a": {"x": "torn'
    host.put_files(
        names.records(records.workspace), "/volume", packed({"records/revision.2": torn})
    )
    other = again()
    assert other.read("a", "x") == b"1"
    other.put("a", "x", "2")
    assert again().read("a", "x") == b"2"


def test_four_clients_count_to_twenty_together(records, again):
    def count() -> None:
        own = again()
        for _ in range(5):
            with own.edit():
                own.put("a", "n", str(int(own.read("a", "n") or b"0") + 1))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert again().read("a", "n") == b"20"


def test_the_journal_is_kept_in_order_past_the_ring(records, again):
    workspace = ResourceId(kind=Kind.WORKSPACE, workspace="lab", name="lab")
    for number in range(RING + 3):
        time = datetime(2026, 11, 26, 0, number % 60, tzinfo=UTC)
        records.note(JournalEntry(time=time, actor=ANN, action=str(number), id=workspace))
    actions = [entry.action for entry in again().journal()]
    assert actions == [str(number) for number in range(RING + 3)]


def test_records_whose_holder_was_pruned_are_still_there(records, again, host):
    records.put("a", "x", "1")
    host.remove(names.records(records.workspace))
    other = again()
    assert (other.exists(), other.read("a", "x")) == (True, b"1")
    other.put("a", "x", "2")
    assert again().read("a", "x") == b"2"


def test_a_lock_names_its_holder_and_the_way_out(records, again):
    with records.hold(ANN), pytest.raises(Busy) as caught, again().hold(ANN):
        pass
    told = str(caught.value)
    assert f"process {os.getpid()}" in told
    assert f"docker rm inference.{records.workspace}.lock.up" in told


def test_the_lock_of_another_machine_stays_and_its_holder_is_named(records, host):
    holder = {
        names.HOLDER: "gpu-1 0f5c 4711 1795668159.5 pid:[4026531836] 4e1f",
        names.OWNER: "ana (inferctl up)",
        names.SINCE: "2026-11-26T02:10:34+00:00",
    }
    labels = names.labels(records.workspace, names.LOCK, **holder)
    lock = names.lock(records.workspace, "up")
    made = host.api.create_container("inference-empty:1", ["-"], name=lock, labels=labels)["Id"]
    try:
        with pytest.raises(Busy) as caught, records.hold(ANN):
            pass
        assert host.container(made) is not None
    finally:
        host.remove(made)
    assert str(caught.value) == (
        f"change workspace '{records.workspace}': ana (inferctl up) has been changing it since"
        " 2026-11-26T02:10:34+00:00 (process 4711 on gpu-1); wait for that to end and run this"
        f" again; if it ended without releasing its lock: docker rm {lock}"
    )


def test_the_lock_of_a_process_that_was_killed_is_taken_over(records, again):
    code = (
        "import sys, time; from inference_provider.targets.docker.host import DockerHost;"
        "from inference_provider.targets.docker.records import HostRecords\n"
        "with HostRecords(DockerHost('docker'), sys.argv[1]).lock('a', 5):\n"
        "    print('held', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, records.workspace]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Busy), records.lock("a", 0.2):
            pass
        holder.send_signal(signal.SIGKILL)
    with records.lock("a", 2):
        pass


def test_a_host_that_does_not_answer_is_unreachable():
    host = DockerHost(DockerPlace(kind="docker", host="unix:///nowhere.sock"))
    with pytest.raises(TargetUnreachable, match=r"open Docker host unix:///nowhere\.sock:"):
        HostRecords(host, "lab").exists()
