"""Builds the virtual environment of an Environment with uv, once per content.

Goes in: an EnvironmentSpec and a cache folder. Comes out: the path of a finished virtual
environment. What runs in it is decided in `server.py`; containers are not built here.
"""

import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import uv

from inference_provider.errors import Busy, OutOfCapacity, TargetError
from inference_provider.observed import Kind, ResourceId
from inference_provider.quoting import without_secrets
from inference_provider.secret_text import Secrets, userinfo_in
from inference_provider.serving.installer_output import cause_in, says_disk_is_full
from inference_provider.serving.pythons import Chosen, choose, known_to_uv, of_pyenv
from inference_provider.serving.server import requirements, server_of
from inference_provider.spec import EnvironmentSpec

BUILD_LIMIT_S = 3600
"""Large CUDA wheels over a slow network take this long; a build that takes longer hangs."""
READY = ".ready"


def build_environment(
    spec: EnvironmentSpec, cache: Path, progress: Callable[[str], None], secrets: Secrets = ()
) -> Path:
    """Return the finished virtual environment of `spec`, building it if the cache lacks it.

    A folder without its `.ready` file is left over from a killed build. It is rebuilt in place,
    because a virtual environment cannot be moved.

    Raises:
        TargetError: uv could not build it; carries the end of what uv said.
        OutOfCapacity: The disk is full.
        Busy: Another process has been building it for an hour.
    """
    from filelock import FileLock, Timeout  # noqa: PLC0415 - it imports asyncio

    venv = cache / _folder_name(spec)
    if built := _built(spec, cache):
        return built
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{venv}.lock", timeout=BUILD_LIMIT_S):
            return _built(spec, cache) or _build(spec, venv, progress, secrets)
    except Timeout as exc:
        raise Busy(
            "build environment", _name(spec), "another process has been building it for an hour",
            "wait for it, or stop it",
        ) from exc  # fmt: skip
    except OSError as exc:
        raise _failed(spec, exc.strerror or str(exc), full=exc.errno == errno.ENOSPC) from exc


def built_note(spec: EnvironmentSpec, cache: Path) -> str:
    """Return what a person should know of a finished environment; empty for nothing."""
    built = _built(spec, cache)
    return (built / READY).read_text() if built else ""


def _built(spec: EnvironmentSpec, cache: Path) -> Path | None:
    """Return a finished environment; with another Python than asked for where that may be."""
    venv = cache / _folder_name(spec)
    if (venv / READY).exists():
        return venv
    others = cache.glob(f"{venv.name}-python*/{READY}") if spec.conda_file is not None else ()
    return next((one.parent for one in others), None)


def _folder_name(spec: EnvironmentSpec) -> str:
    content = spec.content_hash.removeprefix("sha256:") or _fallback_hash(spec)
    # The user's hash does not cover the server's version, which we choose.
    servers = (re.sub(r"[^\w.]+", "-", package) for package in server_of(None, spec).packages)
    return "-".join((content[:16], *servers))


def _fallback_hash(spec: EnvironmentSpec) -> str:
    text = json.dumps([spec.python_version, spec.dependencies])
    return hashlib.sha256(text.encode()).hexdigest()


def _build(
    spec: EnvironmentSpec, venv: Path, progress: Callable[[str], None], secrets: Secrets
) -> Path:
    progress(f"building environment with {len(requirements(spec))} requirements")
    env = _uv_variables(venv.parent)
    venv, chosen = _created(spec, venv, env, secrets)
    if chosen.note:
        progress(chosen.note)
    # A file, not arguments: an index or package URL may carry credentials, and `ps` shows those.
    listing = venv / "requirements.txt"
    listing.touch(mode=0o600)
    listing.write_text("\n".join(requirements(spec)) + "\n")
    to = ("--python", str(venv / "bin" / "python"))
    # bytecode, or servers that start side by side would each compile the same packages
    installed = _uv("pip", "install", "--compile-bytecode", *to, "-r", str(listing), env=env)
    if installed.returncode:
        raise _uv_failed(spec, installed, secrets, chosen.note)
    (venv / READY).write_text(chosen.note)
    progress("environment built")
    return venv


def _created(
    spec: EnvironmentSpec, venv: Path, env: dict[str, str], secrets: Secrets
) -> tuple[Path, Chosen]:
    """Make an empty virtual environment. Return where, and with which Python."""
    chosen = Chosen(spec.python_version or sys.executable)
    made = _with_python(chosen.program, venv, env)
    if made.returncode and spec.python_version:
        installed = _installed(env)
        found = choose(spec, installed)
        if found is None:
            raise _no_python(spec, installed)
        chosen, venv = found, venv.with_name(f"{venv.name}{found.suffix}")
        made = _with_python(chosen.program, venv, env)
    if made.returncode:
        raise _uv_failed(spec, made, secrets, chosen.note)
    return venv, chosen


def _with_python(python: str, venv: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    if venv.exists():
        shutil.rmtree(venv)
    options = ("--quiet", "--no-python-downloads", "--python", python)
    return _uv("venv", *options, str(venv), env=env)


def _uv_variables(environments: Path) -> dict[str, str]:
    """Return uv's variables, with a cache beside `environments` if the user's is not writable.

    The user of a service often has no home folder.
    """
    if "UV_CACHE_DIR" in os.environ:
        return dict(os.environ)
    asked = _uv("cache", "dir")
    if asked.returncode == 0 and _is_writable(Path(asked.stdout.strip())):
        return dict(os.environ)
    return {**os.environ, "UV_CACHE_DIR": str(environments.with_name("uv-cache"))}


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def _uv(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [uv.find_uv_bin(), "--color", "never", "--no-progress", *arguments],
            capture_output=True, text=True, timeout=BUILD_LIMIT_S, check=False,
            stdin=subprocess.DEVNULL, env=env,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(
            arguments, 1, "", f"not finished after {BUILD_LIMIT_S} s"
        )


def _uv_failed(
    spec: EnvironmentSpec, run: subprocess.CompletedProcess[str], secrets: Secrets, note: str
) -> TargetError:
    text = without_secrets(run.stderr, (*secrets, *userinfo_in(spec.dependencies)))
    cause = f"{cause_in(text)} ({note})" if note else cause_in(text)
    return _failed(spec, cause, full=says_disk_is_full(text))


def _installed(env: dict[str, str]) -> dict[str, str]:
    """Return the Pythons of this machine, by version."""
    listed = _uv("python", "list", "--only-installed", "--output-format", "json", env=env)
    found = json.loads(listed.stdout or "[]") if listed.returncode == 0 else []
    return {**of_pyenv(env), **known_to_uv(found)}


def _no_python(spec: EnvironmentSpec, installed: Iterable[str]) -> TargetError:
    there = sorted(installed, key=lambda version: int(version.split(".")[1]))
    return TargetError(
        "build environment",
        _name(spec),
        f"this machine has no Python {spec.python_version}; it has {', '.join(there) or 'none'}",
        "change python_version to one of these, or install it: uv python install"
        f" {spec.python_version}",
    )


def _failed(spec: EnvironmentSpec, cause: str, *, full: bool) -> TargetError:
    if full:
        return OutOfCapacity(
            "build environment", _name(spec), "the disk is full",
            "free some space, then run the same command again; it rebuilds what is incomplete",
        )  # fmt: skip
    remedy = "fix the environment's dependencies, or check that the package index is reachable"
    if "initialize cache" in cause:
        remedy = "set UV_CACHE_DIR to a writable folder"
    return TargetError("build environment", _name(spec), cause, remedy)


def _name(spec: EnvironmentSpec) -> str:
    name = f"{spec.name}:{spec.version}"
    return str(ResourceId(kind=Kind.ENVIRONMENT, workspace=spec.workspace, name=name))
