"""What an image is built of: a Dockerfile, and the files beside it. Pure.

Goes in: an environment, or the package itself, with the image to build on. Comes out: a `Build`,
whose name says by a hash what is in the image, so that nothing is built twice. What builds it is
the target's affair. Code and models are in no image: a change of code builds nothing.

Packages are installed in a stage of its own, which is labelled and removed after the build: its
layers hold what may be secret, the addresses of indexes and packages with their credentials. Where
a package came from is not kept either (`direct_url.json`): its address may have a token. What was
installed is listed in `packages.txt` and, as CycloneDX, in `sbom.json`.
"""

import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from inference_provider.serving.server import ServerKind, requirements, server_of
from inference_provider.spec import EnvironmentSpec
from inference_provider.spec.environment import BuildContext

ENVIRONMENT, SCRIPT = "/opt/environment", "/opt/inference/script.py"
"""Where an instance finds its packages (a virtual environment) and the default server's start."""
LIBRARY, ROUTER_FOLDER = "/opt/inference/lib", "/router"
"""Where a router's container has this package, and the folder that it may write."""
USER = 10001
STAGE_LABEL = "inference.build"
"""Label of the stage that installs, and of every layer of it; its value is the image's name."""

UV_VARIABLES = ("UV_INDEX", "UV_EXTRA_INDEX", "UV_DEFAULT_INDEX")
"""How variables begin that say from where uv installs."""
PROXY_VARIABLES = frozenset(
    name
    for known in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
    for name in (known, known.lower())
)


@dataclass(frozen=True)
class Installer:
    """What installs packages in a build: the uv of whoever builds, or one from the index."""

    version: str
    program: bytes | None
    """Its program; None where that would not run on the host."""
    variables: Mapping[str, str]
    """Its settings: where packages come from, and through which proxies."""

    @property
    def files(self) -> dict[str, bytes]:
        """What it adds to the files of a build."""
        lines = (f"export {name}={shlex.quote(v)}\n" for name, v in sorted(self.variables.items()))
        there = {} if self.program is None else {"uv": self.program}
        return {**there, "settings": (_SYSTEM_CERTIFICATES + "".join(lines)).encode()}

    @property
    def steps(self) -> str:
        """What it runs first."""
        if self.program is not None:
            return ""
        pip = "python3 -m pip install --no-cache-dir --disable-pip-version-check --quiet"
        found = f"{pip} --target /build/uv.lib uv=={self.version}"
        return f"RUN . /build/settings && {found} && ln -s /build/uv.lib/bin/uv /build/uv\n"


def installs_from(variables: Mapping[str, str]) -> dict[str, str]:
    """Return those of a process's variables that say from where a build installs packages."""
    return {
        name: value
        for name, value in variables.items()
        if name.startswith(UV_VARIABLES) or name in PROXY_VARIABLES
    }


@dataclass(frozen=True)
class Build:
    """One image to build."""

    name: str
    """`<repository>:<hash>`; the hash is over all that decides what is in the image."""
    base: str
    """What it is built on; empty where its Dockerfile alone says so."""
    files: Mapping[str, bytes]
    """By path; `Dockerfile` is one of them."""
    dockerfile: str = "Dockerfile"

    @property
    def labels(self) -> dict[str, str]:
        """What the image says of itself; nothing in it depends on when or where it is built."""
        title, _, version = self.name.partition(":")
        known = {"title": title, "version": version, "base.name": self.base}
        return {f"org.opencontainers.image.{name}": text for name, text in known.items() if text}


def base_image(spec: EnvironmentSpec, workspace: str | None, python_version: str) -> str:
    """Return what an environment's image is built on.

    Args:
        spec: The environment.
        workspace: The base image that its workspace names, if it names one.
        python_version: Used where the environment says none: the provider's own, `3.12`.
    """
    if spec.image:
        return spec.image
    return workspace or default_base_image(spec.python_version or python_version)


def default_base_image(python_version: str) -> str:
    """Return Python's own slim image of a version."""
    return f"docker.io/library/python:{python_version}-slim-bookworm"


def is_brought(spec: EnvironmentSpec) -> bool:
    """Whether instances run in an image as somebody made it; any other has our Python in it."""
    return spec.has_image and spec.brings_server and not spec.installs


def image_as_it_is(spec: EnvironmentSpec) -> str | None:
    """Return the image that an environment brings complete; None when one must be built."""
    return spec.image if is_brought(spec) else None


def environment_build(
    spec: EnvironmentSpec, base: str, programs: Mapping[str, bytes], installer: Installer
) -> Build:
    """Return how to build what instances of an environment run in.

    Args:
        spec: The environment.
        base: Image to build on: `base_image`.
        programs: `script.py`, which starts the default server, and `sbom.py`.
        installer: What installs its packages.
    """
    # the image's own server is started as the image says
    brought = server_of(None, spec).kind == ServerKind.IMAGE
    text = _ENVIRONMENT_FILE.format(
        base=base,
        python=spec.python_version or "python3",
        environment=ENVIRONMENT,
        script=SCRIPT,
        started="" if brought else "ENTRYPOINT []\n",
        **_KNOWN,
    )
    files = {
        "requirements.txt": "".join(f"{line}\n" for line in requirements(spec)).encode(),
        **programs,
    }
    return _build("inference-environment", base, text, files, installer)


def folder_build(context: BuildContext) -> Build:
    """Name the image of a folder and its Dockerfile by what is in the folder."""
    told = f"{context.dockerfile_path}:{context.content_hash}"
    name = f"inference-folder:{hashlib.sha256(told.encode()).hexdigest()[:16]}"
    return Build(name, "", {}, context.dockerfile_path)


def runtime_build(
    base: str, package: Mapping[str, bytes], needs: tuple[str, ...], installer: Installer
) -> Build:
    """Return how to build the image of a router's container.

    Args:
        base: Image to build on.
        package: Files of `inference_provider`, by path below the folder that it is in.
        needs: Requirements of what runs there, each pinned.
        installer: What installs them.
    """
    text = _RUNTIME_FILE.format(base=base, library=LIBRARY, folder=ROUTER_FOLDER, **_KNOWN)
    files = {
        "requirements.txt": "".join(f"{line}\n" for line in needs).encode(),
        **{f"lib/{path}": content for path, content in package.items()},
    }
    return _build("inference-runtime", base, text, files, installer)


def _build(
    repository: str, base: str, text: str, files: Mapping[str, bytes], installer: Installer
) -> Build:
    """Name a build by what decides what is in its image: not by what installs it, nor from where.

    Args:
        repository: Name of the image, without its tag.
        base: What it is built on.
        text: Dockerfile, with `{name}`, `{copied}` and `{first}` to be filled in.
        files: All others, but those of the installer.
        installer: What installs packages.
    """
    hashes = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    told = json.dumps([text, hashes], sort_keys=True)
    name = f"{repository}:{hashlib.sha256(told.encode()).hexdigest()[:16]}"
    copied = " ".join(sorted({"requirements.txt", *installer.files} | ({"sbom.py"} & files.keys())))
    for place, value in (("name", name), ("copied", copied), ("first", installer.steps)):
        text = text.replace(f"{{{place}}}", value)
    return Build(name, base, {**files, **installer.files, "Dockerfile": text.encode()})


_SYSTEM_CERTIFICATES = """\
if [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -e /etc/pki/tls/certs/ca-bundle.crt ]; then
  export UV_SYSTEM_CERTS=true UV_NATIVE_TLS=true
fi
"""
"""A company's own certificates are among those of its base images; uv has only public ones."""

_KNOWN = {
    "label": STAGE_LABEL,
    "user": USER,
    "path": "${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}",
    **{place: f"{{{place}}}" for place in ("name", "copied", "first")},
}

_STAGE = """\
FROM {base} AS build
LABEL {label}={name}
USER root
ENV UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1 UV_NO_PROGRESS=1 NO_COLOR=1
COPY {copied} /build/
{first}"""

_ENVIRONMENT_FILE = f"""\
{_STAGE}\
RUN . /build/settings \\
 && /build/uv venv --python {{python}} {{environment}} \\
 && /build/uv pip install --python {{environment}}/bin/python -r /build/requirements.txt \\
 && rm -f {{environment}}/lib/python*/site-packages/*.dist-info/direct_url.json \\
 && /build/uv pip freeze --python {{environment}}/bin/python > {{environment}}/packages.txt \\
 && {{environment}}/bin/python -I /build/sbom.py {{name}} > {{environment}}/sbom.json

FROM {{base}}
COPY --from=build {{environment}} {{environment}}
COPY script.py {{script}}
ENV PATH={{environment}}/bin:{{path}}
ENV VIRTUAL_ENV={{environment}} HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER {{user}}:{{user}}
{{started}}"""

_RUNTIME_FILE = f"""\
{_STAGE}\
COPY lib {{library}}
RUN . /build/settings \\
 && /build/uv venv --python '>=3.11' /opt/inference/python \\
 && /build/uv pip install --python /opt/inference/python/bin/python -r /build/requirements.txt \\
 && /build/uv pip freeze --python /opt/inference/python/bin/python > /opt/inference/packages.txt \\
 && /opt/inference/python/bin/python -I {{library}}/inference_provider/serving/sbom.py {{name}} \\
    > /opt/inference/sbom.json \\
 && /opt/inference/python/bin/python -m compileall -q {{library}} \\
 && mkdir {{folder}}

FROM {{base}}
COPY --from=build /opt/inference /opt/inference
COPY --from=build --chown={{user}}:{{user}} {{folder}} {{folder}}
ENV PATH=/opt/inference/python/bin:{{path}}
ENV PYTHONPATH={{library}} HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER {{user}}:{{user}}
ENTRYPOINT []
"""
