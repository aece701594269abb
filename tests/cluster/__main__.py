"""Runs a command with a cluster.

with_cluster.sh COMMAND…         with the one that is up, or one of its own
with_cluster.sh --up             start one that stays, and print the path of its KUBECONFIG
with_cluster.sh --down           end it
with_cluster.sh --build          only build its programs
with_cluster.sh --load NAME TAR  load an image: a root file system, or what `docker save` wrote
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

sys.path.remove(str(Path(__file__).parent))  # its modules have common names
sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.cluster import images, lifetime, places, supplies
from tests.cluster.places import Places, say
from tests.cluster.supplies import Missing


def main(arguments: list[str]) -> int:
    at = places.ours()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if arguments and not arguments[0].startswith("-"):
        return _run(at, arguments)
    try:
        return _manage(at, arguments)
    except Missing as reason:
        say(str(reason))
        return 1


def _manage(at: Places, arguments: list[str]) -> int:
    match arguments:
        case ["--up"]:
            with lifetime.alone(at):
                _start(at, stays=True)
            print(at.kubeconfig)
        case ["--down"]:
            with lifetime.alone(at):
                lifetime.end(at)
        case ["--build"]:
            with lifetime.alone(at):
                supplies.build_programs(at)
        case ["--load", name, file]:
            images.load(at, name, Path(file))
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


def _start(at: Places, *, stays: bool) -> None:
    try:
        lifetime.start(at, stays=stays)
    except BaseException:
        lifetime.end(at)
        raise


def _run(at: Places, command: list[str]) -> int:
    if given := os.environ.get("INFERENCE_TEST_KUBECONFIG"):
        return _call(command, given)
    try:
        with lifetime.alone(at):
            if not lifetime.running(at):
                return _with_own(at, command)
        return _call(command, str(at.kubeconfig))
    except Missing as reason:
        say(str(reason))
    return _call(command, None)


def _with_own(at: Places, command: list[str]) -> int:
    _start(at, stays=False)
    try:
        return _call(command, str(at.kubeconfig))
    finally:
        lifetime.end(at)


def _call(command: list[str], kubeconfig: str | None) -> int:
    told = {"KUBECONFIG": kubeconfig, "INFERENCE_TEST_KUBECONFIG": kubeconfig} if kubeconfig else {}
    try:
        process = subprocess.Popen(command, env={**os.environ, **told})
    except OSError as fault:
        say(f"cannot run {command[0]}: {fault.strerror}")
        return 127
    try:
        return process.wait()
    except KeyboardInterrupt:
        return process.wait()  # it was interrupted as well, and ends in order
    except SystemExit:
        process.terminate()
        process.wait()
        raise


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
