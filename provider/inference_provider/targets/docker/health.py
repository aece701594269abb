"""The HEALTHCHECK of an instance: it tells Docker how it is, and ends it when it hangs. Pure.

The Engine asks and restarts by itself, but never restarts what is unhealthy. So the question is put
by a program in the container that ends all others there, if the liveness route is silent for too
long; the Engine then starts the container again. What it must remember lies in `/tmp`, which is
empty after each start.
"""

import math
from datetime import datetime
from typing import Any, NamedTuple

from inference_provider.spec.deployment import Probe

_ASK_EVERY_S, _ASK_AT_LEAST = 30, 3
_SOON_S = 90
"""A liveness probe that allows less than this is asked as often as it says."""
_STARTS_S = 5
"""What the start of a process in a container may take on a busy host, seconds."""
_STATE = "/tmp/.inference-health"
_SAID = "inference: "
"""Beginning of a line in a container's log that is an event."""
EVENTS = ("LivenessProbeFailed", "Killing")

_QUESTION = """\
import os, signal, socket, sys, time
port, ready, ready_s, live, live_s, delay_s, hangs_s, start_s, stop_s, stale_s, state = sys.argv[1:]

def fault(path, limit_s):
    try:
        asked = socket.create_connection(("127.0.0.1", int(port)), float(limit_s))
        lines = f"GET {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", "", ""
        asked.sendall("\\r\\n".join(lines).encode())
        status = int(asked.recv(99).split()[1])
    except socket.timeout:
        return f"GET {path}: no answer within {limit_s} s"
    except (OSError, IndexError, ValueError) as why:
        return f"GET {path}: {why}"
    return "" if 200 <= status < 400 else f"GET {path}: status {status}"

def tell(name, message):
    try:
        with open("/proc/1/fd/1", "w") as log:
            log.write(f"inference: {name}: {message}\\n")
    except OSError:
        pass

def age_s():
    ticks = int(open("/proc/1/stat").read().rpartition(")")[2].split()[19])
    return float(open("/proc/uptime").read().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")

def end(silent_s):
    tell("Killing", f"Instance failed its liveness probe for {silent_s:.0f} s, will be restarted")
    os.kill(-1, signal.SIGTERM)  # all but this one and the first, which ends with its child
    time.sleep(float(stop_s))
    tell("Killing", "It did not heed SIGTERM, and was killed")
    os.kill(-1, signal.SIGKILL)

unready = fault(ready, ready_s)
hangs = unready if (live, live_s) == (ready, ready_s) else fault(live, live_s)
now, silent_s = time.monotonic(), -1.0
try:
    since, last, answered = map(float, open(state).read().split())
except (OSError, ValueError):
    since = last = answered = 0.0
if not hangs:
    since, answered = 0.0, 1.0
elif age_s() >= max(float(delay_s), 0 if answered else float(start_s)):
    since = since if since and now - last < float(stale_s) else now
    silent_s = now - since
try:  # over what is there, as wide: a disk that is full takes nothing of it
    file = os.open(state, os.O_WRONLY | os.O_CREAT, 0o600)
    os.pwrite(file, f"{since:<24} {now:<24} {answered}".encode(), 0)
except OSError:
    pass
in_a_container = os.getppid() == 0  # whose processes are all that this one sees
if silent_s >= 0 and in_a_container:
    tell("LivenessProbeFailed", f"Liveness probe failed: {hangs}")
    if silent_s >= float(hangs_s):
        end(silent_s)
print(unready)
sys.exit(bool(unready))
"""


class Health(NamedTuple):
    """What an instance is asked; times in seconds."""

    port: int
    readiness_path: str
    readiness: Probe
    liveness_path: str
    liveness: Probe
    start_limit: int
    """Longest time until the first answer."""
    stop_wait: int
    """Between SIGTERM and SIGKILL."""


def healthcheck(python: str, asked: Health, state: str = _STATE) -> dict[str, Any]:
    """Return the HEALTHCHECK, which calls an instance unhealthy as late as the router does.

    Args:
        python: Where the container has one; without its packages a question takes 53 ms of
            processor time, with them 89.
        asked: What is asked.
        state: File in the container that the question after this one reads.
    """
    ready, live = asked.readiness, asked.liveness
    hangs_s = live.period * live.failure_threshold
    every_s = min(_ASK_EVERY_S, live.period) if hangs_s < _SOON_S else _ASK_EVERY_S
    question_s = ready.timeout + live.timeout + _STARTS_S
    words = (
        *(asked.port, asked.readiness_path, ready.timeout, asked.liveness_path, live.timeout),
        *(live.initial_delay, live.period * (live.failure_threshold - 1)),
        *(asked.start_limit, asked.stop_wait, 3 * (every_s + question_s), state),
    )
    silent_s = ready.period * ready.failure_threshold
    seconds = {
        "interval": every_s,
        "timeout": question_s + asked.stop_wait,
        "start_period": asked.start_limit,
    }
    return {
        "test": ["CMD", python, "-I", "-S", "-c", _QUESTION, *map(str, words)],
        "retries": max(_ASK_AT_LEAST, math.ceil(silent_s / every_s)),
        **{name: value * 10**9 for name, value in seconds.items()},
    }


class Told(NamedTuple):
    """An event that a question has written to the container's log."""

    time: datetime
    name: str
    message: str


def told(line: str) -> Told | None:
    """Return what a line of a log says, with its time before it; None for a line of the server."""
    time, _, text = line.partition(" ")
    name, _, message = text.removeprefix(_SAID).partition(": ")
    if not text.startswith(_SAID) or name not in EVENTS:
        return None
    try:
        at = datetime.fromisoformat(time)
    except ValueError:
        return None
    return Told(at, name, message.rstrip()) if at.tzinfo else None
