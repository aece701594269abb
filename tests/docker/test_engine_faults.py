"""An Engine that is restarted under load, that is full, and that is one of two."""

import os
import shutil
import time
from contextlib import ExitStack

import httpx
import pytest

from inference_provider.errors import OutOfCapacity
from inference_provider.files import SourceFolder, with_content_hash
from inference_provider.observed import Kind
from inference_provider.plan import plan
from inference_provider.spec import WorkspaceSpec
from inference_provider.targets.docker.images import HostImages
from inference_provider.targets.docker.target import DockerPlatform
from inference_provider.targets.images import Images
from tests.conformance.labs import DockerLab, wait_until
from tests.docker.engine import OwnEngine
from tests.docker_host import BASE_IMAGE

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(
        os.geteuid() != 0 or not all(map(shutil.which, ("dockerd", "ip", "nsenter"))),
        reason="an Engine of the test's own takes root, dockerd, ip and nsenter",
    ),
]
REQUESTS = 2000
MANY = {"max_concurrent_requests_per_instance": 50, "request_timeout_ms": 10_000}


@pytest.fixture(scope="module")
def bases(host):
    """Names of images that an Engine without a way out cannot make."""
    found = host.image(Images(HostImages(host)).runtime(WorkspaceSpec(base_image=BASE_IMAGE)))
    return [BASE_IMAGE, *found["RepoTags"]]


@pytest.fixture
def open_engine(host, bases):
    """Start an Engine of the test's own, with the images that labs need."""
    with ExitStack() as opened:

        def start(*options, **more):
            engine = OwnEngine(*options, **more)
            opened.callback(engine.close)
            engine.take(host, bases)
            return engine

        yield start


def lab_on(engine, folder, name="lab"):
    folder.mkdir(exist_ok=True)
    return DockerLab(DockerPlatform(engine.place), folder, name)


def degraded(lab) -> dict[Kind, str]:
    found = lab.target.observe([lab.workspace]).resources.values()
    return {one.id.kind: one.degraded for one in found if one.degraded}


def test_a_restart_with_live_restore_cuts_no_caller_off(open_engine, tmp_path):
    engine = open_engine("--live-restore")
    lab = lab_on(engine, tmp_path)
    lab.up()
    lab.apply(lab.deployment(request_settings=MANY))
    with engine.load(lab, REQUESTS) as load:
        for _ in range(2):
            engine.stop()
            engine.start("--live-restore")
    assert load.answers.keys() == {200}
    assert degraded(lab) == {}
    lab.up()
    assert engine.within(lab.ask) == 200


def test_a_restart_without_live_restore_brings_all_back_by_itself(open_engine, tmp_path):
    engine = open_engine()
    lab = lab_on(engine, tmp_path)
    lab.up()
    lab.apply(lab.deployment(request_settings=MANY))
    with engine.load(lab, REQUESTS) as load:
        engine.stop()
        engine.start()
        wait_until(lambda: engine.within(lambda: answers(lab)) == 200)
    assert load.answers[200] >= REQUESTS // 2  # the others met no router, for some seconds
    assert degraded(lab) == {}


def test_an_up_right_after_a_restart_waits_for_what_still_loads(open_engine, tmp_path):
    engine = open_engine()
    lab = lab_on(engine, tmp_path)
    lab.up()
    slow = lab.deployment(environment_variables={"LATE": "8"})
    lab.apply(slow)
    before = lab.instances()
    engine.stop()
    engine.start()
    wanted = [slow if one.id == slow.id else one for one in lab.desired]
    found = plan(wanted, lab.target.observe([lab.workspace]), "demo")
    assert [action.id.kind for action in found.pending][-1] == Kind.DEPLOYMENT
    lab.apply(*[action.desired for action in found.pending])
    assert engine.within(lab.ask) == 200
    assert lab.instances() == before


def answers(lab) -> int:
    try:
        return lab.ask()
    except httpx.TransportError:
        return 0


def test_two_hosts_keep_workspaces_of_one_name_apart(open_engine, tmp_path):
    engine, name = open_engine(), f"two{time.time_ns() % 10**9}"
    (tmp_path / "one").mkdir()
    one = DockerLab(DockerLab.open(tmp_path), tmp_path / "one", name)
    other = lab_on(engine, tmp_path / "other", name)
    try:
        one.up()
        assert other.target.workspaces() == ()
        other.up()
        other.apply(other.endpoint("second"))
        assert one.target.record(one.id(Kind.ENDPOINT, "second")) is None
        assert one.keys() != other.keys()
        other.close()
        assert one.ask() == 200
        assert degraded(one) == {}
    finally:
        one.close()


def fill(engine, leave_mib: int):
    """Write a file that leaves so much of the Engine's disk."""
    filler = engine.disk / "filler"
    size = shutil.disk_usage(engine.disk).free - leave_mib * 2**20
    with filler.open("wb") as opened:
        os.posix_fallocate(opened.fileno(), 0, size)
    return filler


def test_a_full_disk_is_told_and_what_serves_goes_on(open_engine, tmp_path):
    engine = open_engine(disk_mib=2000)
    lab = lab_on(engine, tmp_path)
    lab.up()
    filler = fill(engine, leave_mib=5)
    (tmp_path / "model.bin").write_bytes(os.urandom(12 * 2**20))
    model = lab.of(Kind.MODEL)
    larger = with_content_hash(model.spec, SourceFolder(tmp_path))
    with pytest.raises(OutOfCapacity, match=r"no space left|disk may be full"):
        lab.apply(model.model_copy(update={"spec": larger}))
    environment = lab.of(Kind.ENVIRONMENT)
    fields = {"python_version": "3.11", "content_hash": "a" * 64}
    changed = environment.spec.model_copy(update=fields)
    with pytest.raises(OutOfCapacity, match=r"no space left|disk is full"):
        lab.apply(environment.model_copy(update={"spec": changed}))
    assert engine.within(lab.ask) == 200
    filler.unlink()
    lab.apply(model.model_copy(update={"spec": larger}))
    assert engine.within(lab.ask) == 200
    assert lab.target.observe_one(model.id).degraded == ""
