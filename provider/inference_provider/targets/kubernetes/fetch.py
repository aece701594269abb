"""The program of an instance's first init container: brings its model and code, and tools.

Goes in: `--into FOLDER model=<sha256> code=<sha256>`, and `--tools FOLDER` for what the later
containers of the pod start. Comes out: the folders `model` and `code`, each whole or not there.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from importlib.resources import files
from pathlib import Path

from inference_provider.targets.kubernetes.archives import SERVICE, Failed, NotKept, Service, fetch

_PACKAGE = "inference_provider"
_BUILDER = (
    "__init__.py",
    "targets/__init__.py",
    "targets/kubernetes/__init__.py",
    "targets/kubernetes/archives.py",
    "targets/kubernetes/content_passes.py",
    "targets/kubernetes/environment_builder.py",
)
"""Of this package, what the builder of an environment imports: nothing else is brought."""


def bring(service: Service, kind: str, digest: str, into: Path) -> None:
    """Get an archive into the folder `<into>/<kind>`, unless a run before has.

    Raises:
        Failed: Says what to do.
    """
    place, beside = into / kind, into / f".{kind}"
    if place.exists():
        return
    shutil.rmtree(beside, ignore_errors=True)  # of a run that was killed
    beside.mkdir()
    began_s = time.monotonic()
    try:
        fetch(service, digest, beside)
    except NotKept as gone:
        raise Failed(f"{gone}: run `inferctl up`, which copies it again") from gone
    beside.rename(place)
    print(f"fetched {kind} {digest[:12]} in {time.monotonic() - began_s:.1f} s", flush=True)  # noqa: T201


def bring_tools(into: Path, installer: bool) -> None:
    """Copy what starts the default server, what ends any, and if asked what builds packages."""
    package = Path(str(files(_PACKAGE)))
    for one in ("serving/script.py", "targets/kubernetes/last_requests.py"):
        shutil.copyfile(package / one, into / Path(one).name)
    if installer:
        import uv  # noqa: PLC0415 - only the image of this container has it

        for name in _BUILDER:
            to = into / "lib" / _PACKAGE / name
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(package / name, to)
        shutil.copy(uv.find_uv_bin(), into / "uv")


def end_on_sigterm() -> None:
    """End at once when asked to: the first process of a container would ignore it."""
    signal.signal(signal.SIGTERM, lambda *_given: sys.exit(143))


def main() -> None:
    parser = argparse.ArgumentParser(description="Fetch what an instance reads.")
    parser.add_argument("assets", nargs="*", metavar="KIND=SHA256")
    parser.add_argument("--into", type=Path, default=Path("/var/azureml"))
    parser.add_argument("--tools", type=Path)
    parser.add_argument("--installer", action="store_true")
    parser.add_argument("--service", default=SERVICE)
    given = parser.parse_args()
    end_on_sigterm()
    os.umask(0o022)
    doing = "copy the tools"
    try:
        if given.tools:
            bring_tools(given.tools, given.installer)
        for kind, _, digest in (one.partition("=") for one in given.assets):
            doing = f"fetch {kind} {digest[:12]}"
            bring(Service(given.service), kind, digest, given.into)
    except (Failed, OSError) as fault:
        sys.exit(f"error: {doing}: {fault}")


if __name__ == "__main__":
    main()
