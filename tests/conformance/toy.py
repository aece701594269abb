"""A small target: instances are subprocesses, and a router that its callers' threads go through.

It shows what a target has to bring: Compute, Router and their wiring. Records, Content and the
list of workspaces are the memory target's. Every instance runs `serve.py`.
"""

import os
import random
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from inference_provider.errors import NotReady, TargetError
from inference_provider.router.table import Backend
from inference_provider.targets import memory, memory_records
from inference_provider.targets.loopback import loopback_client
from inference_provider.workspace import ports, statuses
from tests.conformance.callers import refused

SERVER = str(Path(__file__).with_name("serve.py"))


class Compute:
    replaces_instances = False

    def __init__(self):
        self.there = {}  # by name

    def each(self, made):
        found = {}
        for one in list(self.there.values()):
            found[one.deployment] = (*found.get(one.deployment, ()), made(one))
        return found

    def instances(self, _deployment=""):
        return self.each(lambda one: one.instance)

    def status(self, _deployment=""):
        return statuses.ComputeStatus(instances=self.each(seen))

    def ensure(self, unit, count, progress=ports.silent, make_room=ports.side_by_side):
        running = () if unit.afresh else list(self.there.items())
        kept = [n for n, one in running if runs(one) and one.runs_for(unit)][:count]
        if len(kept) < count:
            make_room(kept)
        fresh = []
        try:
            for number in range(1, count - len(kept) + 1):
                fresh.append(self.start(unit))
                progress(unit.id, f"{number} of {count - len(kept)} new instances ready")
        except BaseException:
            self.retire(unit.id.name, fresh, 0)
            raise
        return (*kept, *fresh)

    def start(self, unit):
        variables = {**unit.spec.environment_variables, **unit.injected}
        given = {n: v.get_secret_value() for n, v in variables.items()}
        process = subprocess.Popen([sys.executable, SERVER, "0"], env={**os.environ, **given},
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # fmt: skip
        with process.stdout:
            port = int(process.stdout.readline() or 0)  # written once it listens
        name = f"{unit.id.name}.{unit.generation}.{process.pid}"
        backends = (Backend(host="127.0.0.1", port=port),)
        instance = statuses.Instance(name, unit.generation, backends)
        self.there[name] = Running(unit.id.name, instance, process)
        if not port:
            self.retire(unit.id.name, [name], 0)
            raise NotReady("start", str(unit.id), f"instance {name}: its process ended")
        return name

    def retire(self, deployment, names, stop_wait_s):
        for process in [self.there.pop(name).process for name in names]:
            process.terminate()
            process.wait()

    def scale_in(self, unit, count, stop_wait_s):
        return 0  # each instance is retired by its name

    def forget(self, deployment): ...  # an instance leaves nothing behind

    def logs(self, *_whose, **_asked):
        return iter(())

    events = logs  # nobody looks after its instances


class Running(NamedTuple):
    deployment: str
    instance: statuses.Instance
    process: subprocess.Popen

    def runs_for(self, unit):
        return (self.deployment, self.instance.generation) == (unit.id.name, unit.generation)


def runs(one):
    return one.process.poll() is None


def seen(one):
    name, generation = one.instance.name, one.instance.generation
    return statuses.InstanceStatus(name=name, generation=generation, runs=runs(one))


class Router:
    reads_records = False

    def __init__(self, records):
        self.records, self.up, self.endpoints = records, False, ()
        self.lock, self.busy = threading.Lock(), Counter()  # requests by deployment and by port

    def address(self):
        if not self.records.exists():
            raise TargetError("use", f"workspace '{self.records.workspace}'", "it is not there")
        return statuses.RouterAddress(url="toy:", metrics_url="toy:metrics")

    def ensure_up(self, endpoints):
        self.up, self.endpoints = True, self.endpoints if self.up else endpoints()

    def runs(self):
        return self.up

    def publish(self, endpoints):
        with self.lock:
            self.endpoints = endpoints

    def in_force(self):
        return True

    def is_drained(self, deployment):
        return not self.busy[deployment]

    def is_connected(self, backends):
        return any(self.busy[backend.port] for backend in backends)

    def wait_healthy(self, deployment, count): ...  # what is ready answers

    def calls(self, _query):
        return ()  # it writes none down

    def status(self):
        named = [(f"{e.name}/{d.name}", d) for e in self.endpoints for d in e.deployments]
        return statuses.RouterStatus(
            runs=self.up,
            weights={e.name: e.weights for e in self.endpoints},
            mirrors={e.name: e.mirror for e in self.endpoints},
            healthy={name: len(d.backends) for name, d in named},
        )

    def ask(self, endpoint, key, headers):
        """Pass a request on; return the status of its answer."""
        with self.lock:
            chosen = self.choose(endpoint, key)
            self.busy.update(chosen if isinstance(chosen, tuple) else ())
        if isinstance(chosen, int):
            return chosen
        try:
            with loopback_client(timeout_s=30) as client:
                return client.post(f"http://127.0.0.1:{chosen[1]}/", headers=headers).status_code
        finally:
            with self.lock:
                self.busy.subtract(chosen)

    def choose(self, name, key):
        """Return a deployment and the port of one of its backends, or a status that says no."""
        endpoint = next((e for e in self.endpoints if e.name == name), None)
        if endpoint is None:
            return 404
        if status := refused(endpoint, key.get_secret_value()):
            return status
        if not endpoint.weights:
            return 404
        [deployment] = random.choices([*endpoint.weights], [*endpoint.weights.values()])
        backends = [b for d in endpoint.deployments if d.name == deployment for b in d.backends]
        return (f"{name}/{deployment}", random.choice(backends).port) if backends else 503


class Platform(memory.MemoryPlatform):
    """Workspaces are the memory target's; what runs in them is the toy's."""

    def make(self, workspace):
        records = memory_records.MemoryRecords(workspace)
        return ports.Ports(records, Compute(), Router(records), memory.MemoryContent())

    def shut_down(self, workspace):
        found: Any = self.ports(workspace)
        found.router.up = False
        found.compute.retire("", [*found.compute.there], 0)
