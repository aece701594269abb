"""An image that is run as it is: kept by its id, and a moved tag is drift that `up` mends."""

import hashlib
import io
import json
import time

import pytest

from inference_provider.drift import drift
from inference_provider.errors import CapabilityMissing, TargetError
from inference_provider.observed import Kind
from inference_provider.refusals import refusals
from inference_provider.targets.docker.archive import packed
from inference_provider.targets.docker.images import HostImages
from inference_provider.targets.images import silent
from tests.conformance.labs import ANN, DockerLab
from tests.docker.registry import Registry
from tests.docker_host import BASE_IMAGE

pytestmark = pytest.mark.docker


@pytest.fixture
def made(host):
    """Make an image of the base with something in it, under a name; all go again."""
    names = set()

    def made(name, content, platform=None):
        text = f"FROM {BASE_IMAGE}\nENV CONTENT={content}\n".encode()
        list(host.api.build(fileobj=io.BytesIO(text), tag=name, rm=True, decode=True))
        names.add(name)
        return host.image(name)["Id"]

    yield made
    for name in names:
        if host.image(name):
            host.api.remove_image(name, force=True)


class BroughtLab(DockerLab):
    """A lab whose environment is an image as it is."""

    image = "inference-test-brought:1"

    def _stack(self):
        whole = super()._stack()
        environment = next(one for one in whole if one.id.kind == Kind.ENVIRONMENT)
        command = ("python3", "{code_dir}/serve.py", "{port}")
        fields = {"image": self.image, "command": command}
        spec = environment.spec.model_copy(update=fields)
        changed = environment.model_copy(update={"spec": spec})
        return tuple(changed if one is environment else one for one in whole)


@pytest.fixture
def lab(tmp_path, made):
    made(BroughtLab.image, "first")
    lab = BroughtLab(BroughtLab.open(tmp_path), tmp_path, f"tag{time.time_ns() % 10**9}")
    lab.up()
    yield lab
    lab.close()


def reasons(lab):
    found = drift(lab.desired, lab.target.observe([lab.workspace]), "demo")
    return {one.id.kind: one.reason for one in found.resources if one.reason}


def images_of(lab):
    host = lab.platform.host
    return [host.container(name)["Image"] for name in lab.instances()]


def test_a_moved_tag_is_drift_and_the_next_up_rolls_to_what_it_names(lab, made, host):
    first = host.image(BroughtLab.image)["Id"]
    assert images_of(lab) == [first]
    assert reasons(lab) == {}
    second, [old] = made(BroughtLab.image, "second"), lab.instances()
    assert reasons(lab) == {
        Kind.ENVIRONMENT: f"the tag 'inference-test-brought:1' was moved: to {second[:19]} from"
        f" {first[:19]}",
        Kind.DEPLOYMENT: f"{old}: runs an older image",
    }
    lab.target.start(lab.workspace, ANN)
    assert [*lab.instances()] == [old]  # a start moves nothing
    lab.up()
    assert images_of(lab) == [second]
    assert old not in lab.instances()
    assert lab.ask() == 200
    assert reasons(lab) == {}


@pytest.fixture
def builder(host):
    return HostImages(host)


@pytest.fixture
def published(host, made):
    """Publish images one after another under one name, with none of them left on the host."""

    def published(registry, *contents):
        name, found = f"{registry.host}/team/scorer:1", []
        for content in contents:
            made(name, content)
            said = list(host.api.push(name, stream=True, decode=True))
            assert not any("error" in part for part in said), said
            found.append((host.image(name)["Id"], registry.manifests["team/scorer:1"]))
            host.api.remove_image(name, force=True)
        return name, found

    return published


def put(registry, manifest):
    registry.manifests["team/scorer:1"] = manifest


def test_a_tag_that_was_moved_in_its_registry_is_seen_and_the_newest_is_pulled(
    host, builder, published
):
    with Registry() as registry:
        name, [(first, older), (second, newer)] = published(registry, "one", "two")
        put(registry, older)
        told = []
        assert builder.pull(name, "load it", told.append, newest=True) == first
        assert told == [f"pulling image {name}"]
        assert builder.named_now(name) == first
        put(registry, newer)
        digest = f"sha256:{hashlib.sha256(newer[1]).hexdigest()}"
        later = HostImages(host)
        assert later.named_now(name) == digest
        assert later.pull(name, "load it", silent) == first  # a base stays as it is
        assert later.pull(name, "load it", silent, newest=True) == second
        assert later.named_now(name) == second
        host.api.remove_image(first)
    assert HostImages(host).named_now(name) == second  # nobody answers: nothing is known to differ


def test_a_registry_is_asked_with_the_credentials_of_dockers_configuration(
    host, published, credentials
):
    with Registry("ann", "hunter2hunter2") as registry:
        credentials(registry)
        name, [(only, _)] = published(registry, "one")
        builder = HostImages(host)
        assert builder.fault(name) == ""
        assert builder.pull(name, "load it", silent) == only
        credentials()
        host.api.remove_image(name)
        with pytest.raises(TargetError, match="no basic auth credentials"):
            HostImages(host).pull(name, "load it", silent)
        assert HostImages(host).fault(name) == ""  # it may be there: the pull will tell


def test_an_image_that_nobody_has_is_refused_when_planning(host, lab):
    with Registry() as registry:
        name = f"{registry.host}/nobody:1"
        builder = HostImages(host)
        assert builder.fault(name) == "neither the host nor its registry has it"
        environment = lab.of(Kind.ENVIRONMENT)
        spec = environment.spec.model_copy(update={"image": name})
        with pytest.raises(CapabilityMissing) as refused:
            lab.apply(environment.model_copy(update={"spec": spec}))
    assert f"image: '{name}': neither the host nor its registry has it; use another image" in str(
        refused.value
    )
    assert builder.fault("127.0.0.1:9/nobody:1") == ""  # no registry answers there


def test_a_base_that_nobody_has_is_refused_when_planning_also_while_the_router_runs(lab):
    space = lab.of(Kind.WORKSPACE)
    with Registry() as registry:
        spec = space.spec.model_copy(update={"base_image": f"{registry.host}/nobody:1"})
        moved = [space.model_copy(update={"spec": spec}), lab.of(Kind.ENVIRONMENT)]
        [running] = refusals(moved, lab.platform.capabilities)  # whose router is to be replaced
        name = f"none{time.time_ns() % 10**9}"
        id_ = space.id.model_copy(update={"workspace": name, "name": name})
        new = space.model_copy(update={"id": id_, "spec": spec})
        [found] = refusals([new], lab.platform.capabilities)
    for refusal in (running, found):
        assert "neither the host nor its registry has it" in str(refusal)


def test_an_image_of_another_architecture_is_refused(host, builder):
    layer = packed({"a": b""})
    config = {
        "architecture": "s390x",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    name = "inference-test-other:1"
    parts = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    files = {"manifest.json": json.dumps(parts), "config.json": json.dumps(config)}
    archive = {path: text.encode() for path, text in files.items()} | {"layer.tar": layer}
    list(host.api.load_image(packed(archive)))
    own = "/".join(builder.platform())
    try:
        assert builder.fault(name) == f"it is for linux/s390x, the host is {own}"
        with pytest.raises(TargetError) as refused:
            builder.pull(name, "load it", silent)
    finally:
        host.api.remove_image(name)
    assert str(refused.value).endswith(
        f"it is for linux/s390x, the host is {own}; name an image for {own}"
    )
