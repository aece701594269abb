"""What a workspace's `target` may say, and that the word and its settings are one."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import ValidationError

from inference_provider.compare import compare
from inference_provider.desired import properties_of
from inference_provider.errors import CapabilityMissing
from inference_provider.files.wording import faults_of
from inference_provider.observed import Kind
from inference_provider.spec import StackSpec, WorkspaceSpec, stack_faults
from inference_provider.spec.target import DockerPlace, Home, kind_of, place_from
from inference_provider.targets.registry import open_target

GPU = {"kind": "docker", "host": "ssh://ana@gpu-1"}
PROD = {"kind": "kubernetes", "context": "prod", "namespace": "iris"}


@pytest.mark.parametrize(
    ("known", "same"),
    [
        pytest.param({"cluster": "a", "namespace": "x"}, True, id="the first decides"),
        pytest.param({"cluster": "b", "namespace": "n"}, False, id="the first differs"),
        pytest.param({"namespace": "n", "cluster": "b"}, False, id="written in another order"),
        pytest.param({"namespace": "n"}, True, id="who sees less"),
        pytest.param({"namespace": "m"}, False, id="who sees less, elsewhere"),
        pytest.param({"engine": "a"}, None, id="nothing in common"),
        pytest.param({}, None, id="nothing known"),
    ],
)
def test_the_first_id_that_both_know_says_whether_a_home_is_the_same(known, same):
    assert Home({"cluster": "a", "namespace": "n"}).is_that_of(known) is same


@pytest.mark.parametrize("kind", ["local", "docker", "kubernetes"])
def test_settings_that_say_no_more_than_the_word_are_the_word(kind):
    assert WorkspaceSpec(target={"kind": kind}) == WorkspaceSpec(target=kind)
    assert WorkspaceSpec(target=kind).target == kind


@pytest.mark.parametrize("written", [GPU, PROD, {"kind": "docker", "context": "gpu"}])
def test_settings_are_recorded_with_what_is_left_out_as_nothing(written):
    spec = WorkspaceSpec(target=written)
    recorded = properties_of(spec)["target"]
    assert {name: value for name, value in recorded.items() if value is not None} == written
    assert WorkspaceSpec.model_validate(spec.model_dump()) == spec


def test_a_record_with_the_word_equals_a_workspace_of_today_and_settings_replace_it():
    record = properties_of(WorkspaceSpec(target="local"))
    assert record["target"] == "local"
    today = properties_of(WorkspaceSpec(target={"kind": "local"}))
    assert compare(Kind.WORKSPACE, record, today) == ()
    moved = compare(Kind.WORKSPACE, record, properties_of(WorkspaceSpec(target=GPU)))
    assert [(c.path, c.change_class.value) for c in moved] == [("target", "replace")]
    other = properties_of(WorkspaceSpec(target={**GPU, "host": "ssh://ana@gpu-2"}))
    moved = compare(Kind.WORKSPACE, properties_of(WorkspaceSpec(target=GPU)), other)
    assert [(c.path, c.change_class.value) for c in moved] == [("target.host", "replace")]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        pytest.param(
            "podman",
            "target: not a known value; use 'local', 'docker', 'kubernetes' or 'memory'",
            id="another word",
        ),
        pytest.param(
            {"host": "ssh://gpu-1"},
            "target: not a known value; use 'local', 'docker' or 'kubernetes'",
            id="no kind",
        ),
        pytest.param(
            {"kind": "docker", "host": "gpu-1"},
            "target.host: not a Docker host; "
            "write ssh://user@host, tcp://host:port or unix:///path",
            id="no URL",
        ),
        pytest.param(
            {"kind": "docker", "host": "ssh://[a"},
            "target.host: not a Docker host; "
            "write ssh://user@host, tcp://host:port or unix:///path",
            id="a bracket without its other",
        ),
        pytest.param(
            {"kind": "docker", "host": "ssh://ana:pw@gpu-1"},
            "target.host: has a password in it; use a key, and write ssh://user@host",
            id="a password",
        ),
        pytest.param(
            {"kind": "docker", "host": "ssh://gpu-1:many"},
            "target.host: not a Docker host; write ssh://host:port",
            id="a port that is not a number",
        ),
        pytest.param(
            {"kind": "docker", "host": "tcp:///var/run/docker.sock"},
            "target.host: not a Docker host; write tcp://host:port",
            id="no host",
        ),
        pytest.param(
            {"kind": "docker", "host": "ssh://gpu-1", "context": "gpu"},
            "target: host and context both name the Docker host; leave one of them out",
            id="host and context",
        ),
        pytest.param(
            {"kind": "docker", "hots": "ssh://gpu-1"},
            "target: a place of kind 'docker' has no 'hots'; known here: kind, host, context",
            id="a misspelt setting",
        ),
        pytest.param(
            {"kind": "local", "host": "ssh://gpu-1"},
            "target: a place of kind 'local' has no 'host'; known here: kind",
            id="a setting of another kind",
        ),
    ],
)
def test_a_fault_in_a_place_is_told_once_with_its_path(written, said):
    with pytest.raises(ValidationError) as caught:
        WorkspaceSpec(target=written)
    assert [str(fault) for fault in faults_of(caught.value, WorkspaceSpec)] == [said]


def test_a_place_is_written_on_one_line():
    assert str(DockerPlace.model_validate(GPU)) == "docker ssh://ana@gpu-1"
    assert kind_of(DockerPlace.model_validate(GPU)) == "docker"
    assert kind_of("local") == "local"


def test_a_stack_is_in_one_place_or_is_refused():
    gpu, near = WorkspaceSpec(name="gpu", target=GPU), WorkspaceSpec(name="near")
    both = StackSpec(name="shop", workspaces=(gpu, gpu.model_copy(update={"name": "two"})))
    assert stack_faults(both) == ()
    assert both.place == DockerPlace.model_validate(GPU)
    assert StackSpec(name="shop").place == "local"
    assert [str(f) for f in stack_faults(StackSpec(name="shop", workspaces=(gpu, near)))] == [
        "workspaces.1.target: workspace 'gpu' is on docker ssh://ana@gpu-1, and this one is not; "
        "declare a stack for each target"
    ]


def test_the_registry_opens_this_machine_and_refuses_what_is_not_supported(tmp_path, monkeypatch):
    monkeypatch.setenv("INFERENCE_STATE_DIR", str(tmp_path))
    assert open_target("local").capabilities.name == "local"
    with pytest.raises(CapabilityMissing) as refused:
        open_target(place_from("memory"))
    said = "open target 'memory': not supported yet; use 'local', 'docker' or 'kubernetes'"
    assert str(refused.value) == said


def test_the_threads_of_a_process_share_the_target_of_a_place(tmp_path, monkeypatch):
    monkeypatch.setenv("INFERENCE_STATE_DIR", str(tmp_path))
    assert open_target("local") is open_target(place_from({"kind": "local"}))
    monkeypatch.setenv("INFERENCE_STATE_DIR", str(tmp_path / "other"))
    assert (tmp_path / "other").exists() is False
    open_target("local")
    assert (tmp_path / "other").is_dir()


def test_two_threads_that_open_a_place_at_the_same_moment_get_the_same_target(
    tmp_path, monkeypatch
):
    together = threading.Barrier(8)

    def opened(_: int) -> int:
        together.wait(10)
        return id(open_target("local"))

    with ThreadPoolExecutor(8) as pool:
        for number in range(30):  # one place alone is won by luck half of the time
            monkeypatch.setenv("INFERENCE_STATE_DIR", str(tmp_path / str(number)))
            assert len(set(pool.map(opened, range(8)))) == 1


def test_opening_another_kind_loads_nothing_of_the_local_target():
    code = (
        "import sys\n"
        "from inference_provider.targets.registry import open_target\n"
        "open_target('docker')\n"
        "slow = ('docker', 'supervisor', 'xmlrpc', 'inference_provider.targets.local')\n"
        "print([name for name in slow if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"
