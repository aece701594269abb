"""The repository's Dockerfile builds what a target's host builds by itself."""

import re
from importlib.metadata import version
from pathlib import Path

from inference_provider.serving.image import Installer, runtime_build
from inference_provider.targets.images import RUNTIME_NEEDS

ROOT = Path(__file__).parents[2]
BASE = "docker.io/library/python:3.11-slim-bookworm"


def commands(dockerfile: str) -> list[str]:
    """Return the instructions, one a line, without comments and line ends."""
    lines = [line for line in dockerfile.splitlines() if not line.startswith("#")]
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    return [line for line in joined.splitlines() if line]


def test_the_dockerfile_and_the_build_on_a_host_say_the_same():
    installer = Installer(version("uv"), b"uv", {})
    pins = tuple(f"{name}=={version(name)}" for name in RUNTIME_NEEDS)
    build = runtime_build(BASE, {"inference_provider/__init__.py": b""}, pins, installer)
    on_host = commands(build.files["Dockerfile"].decode())
    told = {
        f"FROM {BASE}": "FROM ${BASE}",
        "RUN . /build/settings && ": "RUN ",
        "-r /build/requirements.txt": " ".join(pins),
        build.name: "inference-runtime",
    }
    text = "\n".join(on_host)
    for said, instead in told.items():
        text = text.replace(said, instead)
    copied = ("COPY lib /opt/inference/lib", "COPY requirements.txt settings uv /build/", "LABEL ")
    expected = [line for line in text.splitlines() if not line.startswith(copied)]
    own = commands((ROOT / "Dockerfile").read_text())
    assert own[0] == f"ARG BASE={BASE}"
    differs = (
        "ARG ",
        "COPY pyproject",
        "COPY provider",
        "RUN /build/uv --version",
        "ENV UV_SYSTEM",
        "LABEL ",
    )
    assert [line for line in own if not line.startswith(differs)] == expected


def test_the_dockerfile_takes_the_uv_that_the_lock_names():
    assert f"uv=={version('uv')} " in (ROOT / "Dockerfile").read_text()
