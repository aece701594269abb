"""The program of an instance's second init container: its virtual environment.

It runs in the image of the instance, whose Python the environment is for. Goes in: `--key`, a hash
of what is installed, the requirements in $INFERENCE_REQUIREMENTS, and uv's own variables. Comes
out: the environment that another pod has kept under that key for the same Python, else a new one,
which it puts there. Any Python from 3.9 on runs it; of this package it has three modules.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from inference_provider.targets.kubernetes import content_passes
from inference_provider.targets.kubernetes.archives import (
    SERVICE,
    Failed,
    NotKept,
    Service,
    fetch,
    packed,
)

REQUIREMENTS = "INFERENCE_REQUIREMENTS"
"""Variable with what is installed, a line each: an address in it may have a password."""
READY = ".ready"
_CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
_LIMIT_S = 3600
_PATIENCE_S = 20.0
"""Longest wait for a content service without which the environment is built all the same."""
_SHOWN_LINES = 6
_ABOUT = """
import platform, sys, sysconfig
print(sys.version, sys.base_prefix, sysconfig.get_platform(), *platform.libc_ver())
"""


class Builder:
    """One environment, in one folder, which may be the root of a mount."""

    def __init__(self, into: Path, uv: Path, python: str, variables: Mapping[str, str]) -> None:
        self._into = into
        self._uv_program = uv
        self._python = python
        self._work = uv.parent / "work"
        self._variables = {
            **variables,
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_COMPILE_BYTECODE": "1",
            "UV_NO_CACHE": "1",
            "UV_NO_PROGRESS": "1",
            "NO_COLOR": "1",
            "HOME": str(self._work),
            "TMPDIR": str(self._work),
        }
        if any(map(os.path.exists, _CERTIFICATES)):  # a company's own are among them
            self._variables.update(UV_SYSTEM_CERTS="true", UV_NATIVE_TLS="true")

    def name(self, key: str) -> str:
        """Return the name of this environment for the Python that is here.

        Raises:
            Failed: There is no such Python.
        """
        try:
            python = self._uv("python", "find", self._python)
        except Failed as fault:
            remedy = "name an image that has this Python, or change python_version"
            raise Failed(f"{fault}; {remedy}") from fault
        asked = [python, "-I", "-c", _ABOUT]
        about = subprocess.run(asked, capture_output=True, check=True).stdout
        return f"{key}.{hashlib.sha256(about).hexdigest()[:16]}"

    def take(self, service: Service, name: str) -> bool:
        """Get the environment that is kept under a name; return whether there is one."""
        try:
            digest = service.text(f"/environments/{name}")
            self.clear()
            fetch(service, digest, self._into, links=True)
        except NotKept:
            return False
        except Failed as fault:
            _say(f"the kept environment is not used: {fault}")
            return False
        return True

    def build(self, requirements: str) -> None:
        """Install with uv. Raises Failed, with what uv said."""
        self.clear()
        environment = str(self._into)
        self._uv("venv", "--quiet", "--allow-existing", "--python", self._python, environment)
        python = str(self._into / "bin" / "python")
        listing = self._work / "requirements.txt"  # an argument would show in a list of processes
        listing.touch(mode=0o600)
        listing.write_text(requirements)
        self._uv("pip", "install", "--python", python, "-r", str(listing))
        for origin in self._into.glob("lib/python*/site-packages/*.dist-info/direct_url.json"):
            origin.unlink()  # may have a password
        (self._into / "packages.txt").write_text(self._uv("pip", "freeze", "--python", python))

    def put(self, service: Service, name: str, shown: str) -> None:
        """Keep the environment for the next pod. Raises Failed."""
        hashed, size = hashlib.sha256(), 0
        for part in packed(self._into):
            hashed.update(part)
            size += len(part)
        digest = hashed.hexdigest()
        headers = {"Content-Type": "application/x-tar", content_passes.HEADER: shown}
        sized = {**headers, "Content-Length": str(size)}
        service.request("PUT", f"/assets/{digest}", lambda: packed(self._into), sized).close()
        named = [digest.encode()]
        service.request("PUT", f"/environments/{name}", lambda: named, headers).close()

    def clear(self) -> None:
        """Remove what a run before has left."""
        for path in self._into.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir()

    def end(self) -> None:
        """Say that it is complete, and remove what only a build needs."""
        (self._into / READY).touch()
        shutil.rmtree(self._work, ignore_errors=True)
        self._uv_program.unlink()

    def _uv(self, *arguments: str) -> str:
        self._work.mkdir(exist_ok=True)
        try:
            ran = subprocess.run(
                [str(self._uv_program), *arguments],
                env=self._variables,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_LIMIT_S,
                check=False,
            )
        except FileNotFoundError:  # of its loader
            raise Failed("uv does not run in this image; name an image with glibc") from None
        except subprocess.TimeoutExpired:
            raise Failed(f"not finished after {_LIMIT_S} s") from None
        if ran.returncode:
            said = re.sub(r"//[^/@\s]+@", "//[secret]@", ran.stderr.decode(errors="replace"))
            _say(said)
            raise Failed(_cause(said) or f"uv ended with status {ran.returncode}")
        return ran.stdout.decode(errors="replace").strip()


def _cause(said: str) -> str:
    """Return what uv says is wrong, in one line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    starts = [i for i, line in enumerate(lines) if line.startswith("error")]
    shown = lines[starts[0] :][:_SHOWN_LINES] if starts else lines[-_SHOWN_LINES:]
    return " ".join(shown).removeprefix("error: ")


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a container's log


def obtain(
    builder: Builder, service: Service, key: str, requirements: str, shown: str = ""
) -> None:
    """Get an environment: a kept one if there is one, else a new one."""
    began_s = time.monotonic()
    name = builder.name(key)
    if builder.take(service, name):
        _say(f"fetched environment {key[:12]} in {time.monotonic() - began_s:.1f} s")
        return
    count = len(requirements.splitlines())
    _say(f"building environment {key[:12]} with {count} requirements")
    builder.build(requirements)
    _say(f"built environment {key[:12]} in {time.monotonic() - began_s:.1f} s")
    try:
        builder.put(service, name, shown)
    except Failed as fault:
        _say(f"it is not kept for the next pod: {fault}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the environment of an instance.")
    parser.add_argument("--key", required=True)
    parser.add_argument("--python", default="python3")
    parser.add_argument("--into", type=Path, default=Path("/opt/environment"))
    parser.add_argument("--uv", type=Path, default=Path("/opt/inference/uv"))
    parser.add_argument("--service", default=SERVICE)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_given: sys.exit(143))
    os.umask(0o022)
    if (given.into / READY).exists():
        return
    told = {
        name: os.environ.pop(name, "")
        for name in (REQUIREMENTS, content_passes.VARIABLE, "PYTHONPATH")
    }
    builder = Builder(given.into, given.uv, given.python, os.environ)
    try:
        service = Service(given.service, _PATIENCE_S)
        obtain(builder, service, given.key, told[REQUIREMENTS], told[content_passes.VARIABLE])
        builder.end()
    except (Failed, OSError, subprocess.CalledProcessError) as fault:
        sys.exit(f"error: build environment {given.key[:12]}: {fault}")


if __name__ == "__main__":
    main()
