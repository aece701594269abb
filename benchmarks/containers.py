"""A Docker host beside this machine's processes: the same stacks, in the same run.

Real `inferctl` processes and a real Engine, that of Docker's own command line. Images are built on
`$INFERENCE_TEST_BASE_IMAGE`, since no image may be at hand to pull.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml
from measure import BIN, Table, median, skipped, timed
from scale import deployment, environment, stack
from side_by_side import PLAIN

TITLE = "Docker"
BASE_IMAGE = os.environ.get("INFERENCE_TEST_BASE_IMAGE", "debian-python:12")
TARGETS = ("local", "docker")
COUNT, ROUNDS, SECONDS, LIMIT_S = 20, 3, 2, 600
CONNECTIONS = (1, 16)
PACKAGES = ("scikit-learn==1.7.2", "numpy==2.3.4", "joblib==1.5.2")
QUICK = '''\
"""A server that answers at once, so that what is in front of it counts."""

import asyncio
import os
import re
import sys

ANSWER = b"HTTP/1.1 200 OK\\r\\ncontent-length: 1024\\r\\n\\r\\n" + b"x" * 1024


class Server(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.got = transport, b""

    def data_received(self, data):
        self.got += data
        head, end, body = self.got.partition(b"\\r\\n\\r\\n")
        length = re.search(rb"content-length: (\\d+)", head)
        if end and len(body) >= (int(length.group(1)) if length else 0):
            self.got = b""
            self.transport.write(ANSWER)


async def main():
    host = os.environ.get("HOST", "127.0.0.1")
    server = await asyncio.get_running_loop().create_server(Server, host, int(sys.argv[1]))
    await server.serve_forever()


asyncio.run(main())
'''


class Lab:
    """One stack on one target."""

    def __init__(self, folder: Path, target: str, code: str) -> None:
        self.folder = folder
        self.target = target
        self.name = f"bench-{target}"
        (folder / "code").mkdir(parents=True)
        self.write_code(code)

    def write_code(self, code: str) -> None:
        # on a Docker host an instance has an address of its own
        everywhere = code.replace('"127.0.0.1", int', '"0.0.0.0", int')
        text = everywhere if self.target == "docker" else code
        (self.folder / "code" / "serve.py").write_text(text)

    def inferctl(self, *words: str) -> float:
        """Return the seconds of one command."""
        more = {"INFERENCE_STATE_DIR": str(self.folder / "s")}
        return timed((str(BIN / "inferctl"), *words), self.folder, more, LIMIT_S)

    def up(self, document: Mapping[str, Any]) -> float:
        workspace = {"name": self.name, "target": self.target}
        if self.target == "docker":
            workspace["base_image"] = BASE_IMAGE
        text = yaml.safe_dump({**document, "workspaces": [workspace]})
        (self.folder / "stack.yaml").write_text(text)
        return self.inferctl("up", "-y")

    def outputs(self) -> dict[str, Any]:
        command = (str(BIN / "inferctl"), "outputs", "--json", "--show-secrets")
        environment = {**os.environ, "INFERENCE_STATE_DIR": str(self.folder / "s")}
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=True
        )
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@contextmanager
def labs(code: str) -> Iterator[dict[str, Lab]]:
    """Yield a lab for each target; what was made on them is removed."""
    with tempfile.TemporaryDirectory(prefix="bench-") as text, ExitStack() as ended:
        made = {target: Lab(Path(text) / target, target, code) for target in TARGETS}
        for lab in made.values():
            ended.callback(_down, lab)
        yield made


def _down(lab: Lab) -> None:
    with suppress(RuntimeError, subprocess.TimeoutExpired):  # nothing was made
        lab.inferctl("down", "-y")


def measure() -> list[Table]:
    missing = _missing()
    if missing:
        return [skipped(TITLE, missing)]
    return [_changes(), _first(), _requests()]


def _missing() -> str:
    if not shutil.which("docker"):
        return "no docker on PATH"
    asked = subprocess.run(
        ("docker", "image", "inspect", BASE_IMAGE), capture_output=True, text=True, check=False
    )
    return " ".join(asked.stderr.split())[:200] if asked.returncode else ""


# -- a change ------------------------------------------------------------------------------------


def _changes() -> Table:
    """What a change of code takes, against one of packages."""
    with labs(PLAIN) as made:
        spent = {target: _changed(lab) for target, lab in made.items()}
        layers = _layers()
    rows = [
        (what, *(f"{spent[target][what]:.1f}" for target in TARGETS)) for what in spent["local"]
    ]
    note = (
        f"`up`, once each but for medians of {ROUNDS}; the environment has {', '.join(PACKAGES)}."
        f" Layers of the images, without the base: {layers}."
    )
    return Table("A change of one deployment", ("change", "local s", "docker s"), rows, (note,))


def _changed(lab: Lab) -> dict[str, float]:
    def of(*packages: str) -> dict[str, Any]:
        return {**stack(1, 1), "environments": [{**environment(), "dependencies": list(packages)}]}

    found = {"first, everything built": lab.up(of(*PACKAGES))}
    again = []
    for number in range(ROUNDS):
        lab.write_code(f"{PLAIN}\n# change {number}\n")
        again.append(lab.up(of(*PACKAGES)))
    found["code alone"] = median(again)
    found["packages, built again"] = lab.up(of(*PACKAGES, "threadpoolctl==3.6.0"))
    return found


def _layers() -> str:
    """Return the sizes of the layers of each image of ours, oldest first, in MB."""
    listed = _docker("images", "--format", "{{.Repository}}:{{.Tag}}")
    sizes = {}
    base = len(_docker("history", "-q", BASE_IMAGE))
    for image in listed:
        kind = image.partition(":")[0]
        if kind.startswith("inference-") and kind not in sizes:
            each = _docker("history", "--format", "{{.Size}}", image)
            own = [size for size in reversed(each[: len(each) - base]) if size != "0B"]
            sizes[kind] = f"{kind} {' + '.join(own)}" if own else ""
    return "; ".join(filter(None, sizes.values()))


def _docker(*words: str) -> list[str]:
    command = ("docker", *words)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


# -- twenty deployments --------------------------------------------------------------------------


def _first() -> Table:
    document = stack(COUNT, 1)
    first = {**document, "endpoints": [], "deployments": []}
    with labs(PLAIN) as made:
        for lab in made.values():
            lab.up(first)
        spent = {target: lab.up(document) for target, lab in made.items()}
        again = {target: lab.up(document) for target, lab in made.items()}
        drift = {target: lab.inferctl("drift") for target, lab in made.items()}
    rows = [
        (what, *(f"{by[target]:.1f}" for target in TARGETS))
        for what, by in (("first `up`", spent), ("`up` again", again), ("`drift`", drift))
    ]
    note = "Once. The workspace and the environment were there already."
    title = f"{COUNT} deployments of one instance"
    return Table(title, ("command", "local s", "docker s"), rows, (note,))


# -- requests ------------------------------------------------------------------------------------


def _requests() -> Table:
    if not shutil.which("wrk"):
        return skipped("Requests", "no wrk on PATH; on Debian: apt-get install wrk")
    many = {"max_concurrent_requests_per_instance": 100}
    one = stack(1, 1)
    one["deployments"] = [deployment("bench-0", 1, request_settings=many)]
    with labs(QUICK) as made:
        routes = {}
        for target, lab in made.items():
            lab.up({**one, "traffic": [{"endpoint": "bench-0", "traffic": {"blue": 100}}]})
            routes[target] = _route(lab)
        rows = []
        for at in CONNECTIONS:
            found: dict[str, list[float]] = {target: [] for target in TARGETS}
            for _ in range(ROUNDS):
                for target in TARGETS:
                    found[target].append(_load(*routes[target], at))
            local, docker = (median(found[target]) for target in TARGETS)
            rows.append((str(at), f"{local:,.0f}", f"{docker:,.0f}", f"{docker / local:.2f}"))
    note = (
        f"Medians of {ROUNDS} interleaved rounds of {SECONDS} s, closed loop (wrk, one thread);"
        " one instance whose server answers at once, on the same cores; no request failed."
    )
    header = ("connections", "local requests/s", "docker requests/s", "of local")
    return Table("Requests through the router", header, rows, (note,))


def _route(lab: Lab) -> tuple[str, str]:
    """Return the scoring URL of the stack's endpoint, and its key."""
    found = lab.outputs()
    [endpoint] = (outputs for name, outputs in found.items() if name.startswith("Endpoint/"))
    return endpoint["scoring_uri"], endpoint["primary_key"]


def _load(url: str, key: str, connections: int) -> float:
    """Return requests per second. Raises RuntimeError when one failed."""
    script = Path(__file__).with_name("score.lua")
    command = ("wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "-s", str(script), url)
    done = subprocess.run(
        command,
        env={**os.environ, "BENCH_KEY": key},
        capture_output=True,
        text=True,
        timeout=SECONDS + 30,
        check=True,
    )
    found = json.loads(done.stderr.splitlines()[-1])
    if found["failed"]:
        raise RuntimeError(f"{url}: {found['failed']} of {found['requests']} failed")
    return float(found["requests"]) / float(found["us"]) * 1e6
