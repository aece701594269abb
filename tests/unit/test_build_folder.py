"""A folder that an image is built of: what counts as its content, and what is wrong with it."""

import pytest

from inference_provider.capabilities import TargetCapabilities
from inference_provider.desired import resolve
from inference_provider.errors import SpecError
from inference_provider.files import SourceFolder, file_faults, load_stack, with_content_hash
from inference_provider.files.tree import build_content
from inference_provider.gpus import Ledger
from inference_provider.refusals import refusals
from inference_provider.serving.image import folder_build
from inference_provider.spec import EnvironmentSpec
from inference_provider.targets.local.capabilities import local_capabilities

STACK = """\
name: demo
environments:
- name: env
  build: {path: context, dockerfile_path: docker/Dockerfile}
"""


@pytest.fixture
def folder(tmp_path):
    for name in ("docker/Dockerfile", "app.py", "data/a.csv", "data/keep/b.csv", "deep/app.py"):
        file = tmp_path / "context" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"FROM {name}")
    (tmp_path / "stack.yaml").write_text(STACK)
    return tmp_path


def environment(**build):
    fields = {"path": "context", "dockerfile_path": "docker/Dockerfile", **build}
    return EnvironmentSpec.model_validate({"name": "env", "build": fields})


def hashed(folder, **build):
    found = with_content_hash(environment(**build), SourceFolder(folder))
    return found.build.content_hash, found.content_hash


def names(folder, dockerfile="docker/Dockerfile"):
    return [name for name, _ in build_content("context", folder, None, dockerfile).files]


@pytest.mark.parametrize(
    ("ignored", "left"),
    [
        pytest.param("", ["app.py", "data/a.csv", "data/keep/b.csv", "deep/app.py"], id="nothing"),
        pytest.param("app.py", ["data/a.csv", "data/keep/b.csv", "deep/app.py"], id="at the top"),
        pytest.param("/app.py", ["data/a.csv", "data/keep/b.csv", "deep/app.py"], id="slash"),
        pytest.param("**/app.py", ["data/a.csv", "data/keep/b.csv"], id="at any depth"),
        pytest.param("data/", ["app.py", "deep/app.py"], id="a folder"),
        pytest.param("data\n!data/keep", ["app.py", "data/keep/b.csv", "deep/app.py"], id="back"),
        pytest.param(
            "# app.py\n ./*.py ", ["data/a.csv", "data/keep/b.csv", "deep/app.py"], id="."
        ),
        pytest.param("*\n!*.py", ["app.py"], id="all but"),
    ],
)
def test_a_dockerignore_is_read_as_docker_reads_it(folder, ignored, left):
    from docker.utils.build import exclude_paths

    (folder / "context" / ".dockerignore").write_text(ignored)
    patterns = [line.strip() for line in ignored.splitlines() if line.strip()]
    known = exclude_paths(
        str(folder / "context"), [p for p in patterns if p[0] != "#"], "docker/Dockerfile"
    )
    files = {name for name in known if (folder / "context" / name).is_file()}
    assert set(names(folder)) | {".dockerignore"} == files | {".dockerignore"}
    assert [n for n in names(folder) if n not in (".dockerignore", "docker/Dockerfile")] == left


def test_an_ignore_file_of_the_dockerfile_takes_the_place_of_the_folders(folder):
    (folder / "context" / ".dockerignore").write_text("data")
    (folder / "context" / "docker" / "Dockerfile.dockerignore").write_text("app.py\ndeep\n")
    assert names(folder) == [
        ".dockerignore",
        "data/a.csv",
        "data/keep/b.csv",
        "docker/Dockerfile",
        "docker/Dockerfile.dockerignore",
    ]
    (folder / "context" / "other").write_text("FROM a")
    assert names(folder, "other")[1:3] == ["app.py", "deep/app.py"]


def test_the_dockerfile_is_content_even_if_it_is_ignored(folder):
    (folder / "context" / ".amlignore").write_text("docker\n*.csv\n")
    assert names(folder) == [".amlignore", "app.py", "deep/app.py", "docker/Dockerfile"]


def test_content_and_dockerfile_decide_the_image_and_nothing_else(folder):
    before = hashed(folder)
    (folder / "context" / "app.py").touch()
    assert hashed(folder) == before
    (folder / "context" / "other").write_text("FROM docker/Dockerfile")
    changed = hashed(folder)
    assert changed[0] != before[0]
    assert changed[1] != before[1]
    content, whole = hashed(folder, dockerfile_path="other")
    assert content == changed[0]
    assert whole != changed[1]


def test_an_environment_without_a_folder_keeps_the_hash_of_the_release_before(folder):
    plain = with_content_hash(EnvironmentSpec(name="env"), SourceFolder(folder))
    assert plain.content_hash == "03e0ab21d07ebef84108742f4191305dea40f8f53314c3e51421273df2c8e3e8"


def test_the_image_of_a_folder_is_named_by_its_content(folder):
    build = environment().build.model_copy(update={"content_hash": "a" * 64})
    assert folder_build(build).name == "inference-folder:a3e579f80a63c9b6"
    assert folder_build(build).dockerfile == "docker/Dockerfile"


@pytest.mark.parametrize(
    ("build", "fault"),
    [
        (
            {"path": "nowhere"},
            "build.path: no folder 'nowhere'; paths are relative to the stack file",
        ),
        (
            {"dockerfile_path": "Dockerfile"},
            "build.dockerfile_path: no file 'Dockerfile' in 'context'; write its path relative to"
            " build.path",
        ),
        (
            {"dockerfile_path": "../Dockerfile"},
            "build.dockerfile_path: '../Dockerfile' is outside 'context'; move it in",
        ),
    ],
)
def test_what_cannot_be_built_is_a_fault(folder, build, fault):
    found = file_faults(environment(**build), SourceFolder(folder))
    assert [str(one) for one in found] == [fault]


@pytest.mark.parametrize("text", ["", "# FROM a", "ARG X=1\n", "RUN <<E\nFROM a\nE\n"])
def test_a_dockerfile_without_a_stage_is_a_fault(folder, text):
    # the Engine of Debian 12 panics when it is sent one of arguments alone
    (folder / "context" / "docker" / "Dockerfile").write_text(text)
    assert [str(one) for one in file_faults(environment(), SourceFolder(folder))] == [
        "build.dockerfile_path: 'docker/Dockerfile' has no FROM; name an image to build on"
    ]
    (folder / "context" / "docker" / "Dockerfile").write_text(f"# syntax=other:1\n{text}")
    assert file_faults(environment(), SourceFolder(folder)) == ()


def test_a_dockerfile_in_utf_16_is_a_fault(folder):
    (folder / "context" / "docker" / "Dockerfile").write_text("FROM a\r\n", encoding="utf-16")
    assert [str(one) for one in file_faults(environment(), SourceFolder(folder))] == [
        "build.dockerfile_path: 'docker/Dockerfile' is not UTF-8 text; save it as UTF-8"
    ]


def test_mounts_that_a_build_gets_nothing_for_are_faults_with_their_lines(folder):
    (folder / "context" / "docker" / "Dockerfile").write_text(
        "FROM a\nRUN --mount=type=secret,id=x true\nRUN --mount=type=cache,target=/x \\\n"
        "  --mount=type=ssh git clone x\n"
    )
    found = file_faults(environment(), SourceFolder(folder))
    assert [str(one) for one in found] == [
        "build.dockerfile_path: line 2 mounts a secret, which no build gets; name packages of a"
        " private index under dependencies, or build the image yourself",
        "build.dockerfile_path: line 3 mounts ssh, which no build gets; copy what it fetches into"
        " the folder, or build the image yourself",
    ]


def test_a_folder_is_an_image_and_excludes_one():
    assert environment().brings_server
    with pytest.raises(ValueError, match="image and build both say what it runs in; leave one"):
        EnvironmentSpec.model_validate(
            {"name": "env", "image": "a:1", "build": {"path": "context"}}
        )


def test_a_target_without_containers_refuses_it(folder):
    desired = resolve(load_stack(folder / "stack.yaml"))
    assert [str(one) for one in refusals(desired, local_capabilities(Ledger))] == [
        "Environment 'default/env:1' on target 'local': build: there are no containers to run it"
        " in; name dependencies or a command instead"
    ]
    able = TargetCapabilities(name="local", images=True, builds=True)
    assert refusals(desired, able) == ()


def test_a_content_hash_is_never_written_by_hand(folder):
    text = STACK.replace("{path: context", "{content_hash: abc, path: context")
    (folder / "stack.yaml").write_text(text)
    with pytest.raises(SpecError, match="content_hash is computed and cannot be set; remove it"):
        load_stack(folder / "stack.yaml")
