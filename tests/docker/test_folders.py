"""Images of a folder and its Dockerfile: built once by content, on the host, from any client."""

import uuid

import pytest

from inference_provider.errors import TargetError
from inference_provider.files import SourceFolder, with_content_hash
from inference_provider.spec import EnvironmentSpec
from inference_provider.targets.images import silent
from tests.docker.registry import Registry
from tests.docker.test_images import ROUTES
from tests.docker_host import BASE_IMAGE

pytestmark = pytest.mark.docker

DOCKERFILE = f"""\
FROM {BASE_IMAGE} AS made
RUN echo made > /made
FROM {BASE_IMAGE}
COPY --from=made /made /made
COPY . /app
CMD ["python3", "-m", "http.server"]
"""
NEWER = (
    "what is newer than the Engine, such as heredocs and `COPY --link`, needs"
    " `# syntax=docker/dockerfile:1` as its first line"
)


@pytest.fixture
def folder(tmp_path):
    context = tmp_path / "context"
    (context / "docker").mkdir(parents=True)
    (context / "docker" / "Dockerfile").write_text(DOCKERFILE)
    (context / "app.py").write_text("print(open('/made').read())")
    (context / "run.sh").write_text(f"echo ran # {uuid.uuid4()}")  # never built before
    (context / "run.sh").chmod(0o755)
    (context / "secret.txt").write_text("hunter2hunter2")
    (context / ".dockerignore").write_text("secret.txt\ndocker\n")
    return tmp_path


def environment(folder, **fields):
    build = {"path": "context", "dockerfile_path": "docker/Dockerfile"}
    written = {"name": "env", "build": build, "inference_config": ROUTES, **fields}
    return with_content_hash(EnvironmentSpec.model_validate(written), SourceFolder(folder))


@pytest.fixture
def built(images, folder, host):
    """Build an environment of the folder; its images go again, the newest first."""
    before = set(host.image_ids())

    def built(told=silent, **fields):
        return images.environment(
            environment(folder, **fields), BASE_IMAGE, told, base_dir=str(folder)
        )

    yield built
    for image in host.image_ids():
        if image not in before:
            host.api.remove_image(image, force=True)


def test_a_folder_becomes_an_image_without_what_it_ignores(built, run, host):
    told = []
    image = built(told.append)
    assert len(told) == 2
    assert told[0].startswith("building image inference-folder:")
    assert told[0].endswith(" of context")
    assert run(image, "python3", "/app/app.py") == (0, "made\n\n")
    assert run(image, "sh", "-c", "/app/run.sh; ls -A /app") == (
        0,
        "ran\n.dockerignore\napp.py\ndocker\nrun.sh\n",
    )
    assert "hunter2" not in str(host.api.history(image))


def test_it_is_built_once_and_found_again_without_the_folder(built, folder, images):
    image = built()
    told = []
    assert built(told.append) == image
    spec = environment(folder)
    (folder / "context").rename(folder / "moved")
    assert images.environment(spec, BASE_IMAGE, told.append) == image
    assert told == []


def test_packages_are_installed_on_it(built, run):
    image = built(dependencies=["six==1.17.0"])
    assert run(image, "python", "-c", "import six; print(open('/made').read())") == (0, "made\n\n")


def test_a_folder_that_changed_since_the_plan_gets_no_name(folder, images, host):
    def named():
        return {tag for one in host.api.images() for tag in one["RepoTags"] or ()}

    spec, before = environment(folder), named()
    (folder / "context" / "app.py").write_text("other")
    with pytest.raises(TargetError, match="copy 'context': it changed while it was applied; run"):
        images.environment(spec, BASE_IMAGE, base_dir=str(folder))
    assert named() == before


def test_a_dockerfile_that_lost_its_stage_since_the_plan_is_not_sent(folder, images, host):
    spec = environment(folder)
    (folder / "context" / "docker" / "Dockerfile").write_text("ARG X=1")
    with pytest.raises(TargetError, match="copy 'context': it changed while it was applied; run"):
        images.environment(spec, BASE_IMAGE, base_dir=str(folder))
    assert host.has_image(BASE_IMAGE)  # the Engine goes on


@pytest.mark.parametrize("link", [False, True])
def test_a_file_that_goes_while_it_is_sent_is_no_fault_of_the_host(
    folder, images, monkeypatch, link
):
    spec, file = environment(folder), folder / "context" / "app.py"

    def read(*_dockerfile):
        file.unlink()
        if link:
            file.symlink_to(file)
        return ()

    monkeypatch.setattr("inference_provider.targets.docker.images.images_in", read)
    with pytest.raises(TargetError) as refused:
        images.environment(spec, BASE_IMAGE, base_dir=str(folder))
    assert str(refused.value) == (
        f"copy 'context': cannot read '{file}': Too many levels of symbolic links; make it readable"
        " for this user"
        if link
        else "copy 'context': it no longer exists; put it back and run `inferctl up`"
    )


def test_an_image_that_has_a_name_stays_when_a_folder_changes_back_to_it(folder, images, built):
    image, spec = built(), environment(folder)
    file = folder / "context" / "app.py"
    before = file.read_text()
    file.write_text("other")
    spec = environment(folder)
    file.write_text(before)
    with pytest.raises(TargetError, match="copy 'context': it changed while it was applied; run"):
        images.environment(spec, BASE_IMAGE, base_dir=str(folder))
    told = []
    assert built(told.append) == image
    assert told == []


def test_a_folder_whose_place_nobody_knows_is_named(folder, images):
    with pytest.raises(TargetError) as refused:
        images.environment(environment(folder), BASE_IMAGE)
    assert str(refused.value) == (
        "copy 'context': its source is not known here; run `inferctl up`, which restores it"
    )


@pytest.mark.parametrize(
    ("line", "reason", "remedy"),
    [
        (
            "RUN echo said; exit 3",
            ": said (exit code 3 of `echo said; exit 3`); ",
            "fix the Dockerfile in context",
        ),
        ('RUN ["false"]', ": (exit code 1 of `false`); ", "fix the Dockerfile in context"),
        (
            "RUN echo error in passing; seq -s, 400; printf '\\033[1;31mwhy\\033[0m\\n'; exit 3",
            ",399,400 why (exit code 3 of `echo error in passing; ",
            "fix the Dockerfile in context",
        ),
        (
            "NONSENSE",
            "dockerfile parse error line 2: unknown instruction: NONSENSE",
            f"fix the Dockerfile in context; {NEWER}",
        ),
        (
            "COPY --lin . /x",
            "dockerfile parse error line 2: Unknown flag: lin",
            f"fix the Dockerfile in context; {NEWER}",
        ),
        (
            "COPY --from=nonesuch.invalid/x:1 /x /x",
            "the host does not have it, and cannot pull it: ",
            "load it on the host, or change the Dockerfile in context",
        ),
    ],
)
def test_a_dockerfile_that_fails_says_why(folder, images, line, reason, remedy):
    file = folder / "context" / "docker" / "Dockerfile"
    file.write_text(f"FROM {BASE_IMAGE}\n{line}\n")
    with pytest.raises(TargetError) as refused:
        images.environment(environment(folder), BASE_IMAGE, base_dir=str(folder))
    what = "environment 'default/env:1'" if "pull" not in reason else "image 'nonesuch.invalid/x:1'"
    assert f" {what} on Docker host" in str(refused.value)
    assert reason in str(refused.value)
    assert str(refused.value).endswith(remedy)


def test_a_later_stage_is_no_image_and_one_that_is_not_needed_is_not_built(built, folder, run):
    (folder / "context" / "docker" / "Dockerfile").write_text(
        f"FROM nonesuch.invalid/tests:1 AS test\nRUN false\nFROM {BASE_IMAGE} AS copies\n"
        f"COPY --from=later /etc/hostname /copied\nFROM {BASE_IMAGE} AS later\n"
        "FROM --platform=$BUILDPLATFORM copies\n"
    )
    assert run(built(), "ls", "/copied") == (0, "/copied\n")


def test_a_build_has_the_mounts_and_flags_of_buildkit(built, folder, run):
    file, mark = folder / "context" / "docker" / "Dockerfile", uuid.uuid4().hex
    cached = f"RUN --mount=type=cache,id={mark},target=/cache"
    file.write_text(
        f"FROM {BASE_IMAGE}\n{cached} echo kept > /cache/kept\n"
        "RUN --mount=type=bind,target=/context cp /context/app.py /app.py\n"
        "COPY --chmod=700 run.sh /run.sh\n"
    )
    assert run(built(), "stat", "-c%a", "/app.py", "/run.sh") == (0, "644\n700\n")
    file.write_text(f"FROM {BASE_IMAGE}\n{cached} cp /cache/kept /kept\n")
    assert run(built(), "cat", "/kept") == (0, "kept\n")


def test_a_private_base_is_pulled_with_the_credentials_of_dockers_configuration(
    built, folder, host, run, credentials
):
    with Registry("ann", "hunter2hunter2") as registry:
        base = f"{registry.host}/team/base"
        credentials(registry)
        host.api.tag(BASE_IMAGE, base, "1")
        list(host.api.push(base, "1", stream=True))
        host.api.remove_image(f"{base}:1")
        file = folder / "context" / "docker" / "Dockerfile"
        file.write_text(f"FROM {base}:1\nCOPY app.py /app.py\n")
        image = built()
        host.api.remove_image(f"{base}:1")
    assert "hunter2" not in str(host.api.history(image))
    assert run(image, "python3", "-c", "open('/app.py')")[0] == 0
