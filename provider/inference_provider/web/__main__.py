"""The process: `python -m inference_provider.web KIND …`, where KIND is that of its place.

On this machine `local FOLDER WORKSPACE HOST PORT SCHEME PAGES VERSION`, in a container of a Docker
host `docker WORKSPACE HOST PORT SCHEME PAGES VERSION`, in a pod `kubernetes WORKSPACE PORT SCHEME
PAGES`. It runs beside the workspace's router, apart from what scales, moves splits and scores: when
it ends, nobody gets new tokens, and nothing else happens. Whoever starts it replaces it where any
of its arguments should be another.
"""

import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

from inference_provider.errors import InferenceError
from inference_provider.web.serving import Place, serve

KINDS = ("local", "docker", "kubernetes")


def main() -> None:
    """Answer until this process is ended, or its place may not go on."""
    kind, given = where(sys.argv[1:])
    serve(_PLACES[kind](*given))


def where(arguments: list[str]) -> tuple[str, list[str]]:
    """Return the kind of place, and what names it.

    An older release named no kind: until the next `up` supervisord starts this one as it did.
    """
    kind = arguments[0]
    return (kind, arguments[1:]) if kind in KINDS else ("local", arguments)


def _on_this_machine(root: str, *given: str) -> Place:
    # a container has nothing of it
    from inference_provider.web.on_this_machine import opened  # noqa: PLC0415

    return opened(Path(root), *given)


def _in_cluster(*given: str) -> Place:
    from inference_provider.web.in_cluster import opened  # noqa: PLC0415 - as above

    return opened(*given)


def _on_its_engine(*given: str) -> Place:
    from inference_provider.web.on_its_engine import opened  # noqa: PLC0415 - as above

    return opened(*given)


_PLACES: Mapping[str, Callable[..., Place]] = {
    "local": _on_this_machine,
    "docker": _on_its_engine,
    "kubernetes": _in_cluster,
}


if __name__ == "__main__":
    try:
        main()
    except InferenceError as fault:
        sys.exit(str(fault))
    except Exception:  # noqa: BLE001 - whatever it is, it ends the process
        traceback.print_exc()
        os._exit(1)
