"""An autoscaler of a target in memory that measures what it is told."""

import json
from concurrent.futures import Executor, Future
from functools import partial

from tests.conformance.labs import MemoryLab

from inference_provider.autoscale_samples import Sample, Timed
from inference_provider.observed import Actor
from inference_provider.service.autoscaler import Autoscaler
from inference_provider.service.decisions import Decisions
from inference_provider.service.faults import Faults
from inference_provider.targets.rule_faults import read

AUTOSCALER = Actor(user="service", command="autoscaler")
HELD = "somebody else is changing the deployment, or has just changed it"
QUICK = {"scale_in": {"stabilization_s": 10}}


class Threads(Executor):
    """Runs what it is given at once; or, told to hold, when it is released."""

    def __init__(self) -> None:
        self.holds = False
        self._held = []

    def submit(self, fn, /, *args, **kwargs):
        made = Future()
        self._held.append((partial(fn, *args, **kwargs), made))
        if not self.holds:
            self.release()
        return made

    def release(self) -> None:
        while self._held:
            call, made = self._held.pop()
            try:
                made.set_result(call())
            except Exception as fault:  # noqa: BLE001 - as a thread does
                made.set_exception(fault)


class Case:
    """A workspace with a rule, and an autoscaler that measures what it is told."""

    def __init__(self, folder, **rule) -> None:
        code = folder / "lab"
        code.mkdir()
        self.lab = MemoryLab(MemoryLab.open(code), code, "lab")
        self.lab.up()
        asked = {"targets": [{"metric": "RequestsInFlight", "target": 2}]}
        self.lab.apply(self.lab.rule(**{"max_instances": 5, **QUICK, **asked, **rule}))
        self.at_s = 0.0
        self.in_flight: float | None = 0
        self.timed: Timed | None = None
        self.threads = Threads()
        self.folder = folder / "decisions"
        self.measured = []
        self.autoscaler = self.with_log(10_000_000)

    def with_log(self, file_bytes: int) -> Autoscaler:
        return Autoscaler(
            self.lab.target,
            "lab",
            self._samples,
            Decisions(self.folder / "decisions.jsonl", file_bytes),
            Faults(self.folder / "faults.json"),
            actor=AUTOSCALER,
            clock=self,
            threads=self.threads,
        )

    def _samples(self, deployments):
        names = [one.id.name for one in deployments]
        self.measured.append(names)
        values = {} if self.in_flight is None else {"RequestsInFlight": self.in_flight}
        sample = Sample(at_s=self.at_s, ready=self.count, values=values, timed=self.timed)
        return dict.fromkeys(names, sample)

    def now(self):
        return self.lab.platform.clock.now()

    def monotonic_s(self) -> float:
        return self.at_s

    def sleep(self, seconds: float) -> None:
        self.at_s += seconds

    @property
    def count(self) -> int:
        return len(self.lab.instances())

    def look(self, in_flight: float | None, seconds: int = 1) -> int:
        """Have it look each second; return the count then."""
        self.in_flight = in_flight
        for _ in range(seconds):
            self.at_s += 1
            self.autoscaler.look()
        return self.count

    def faults(self) -> dict[str, str]:
        """Return what is wrong with rules, as any client reads it."""
        return {name: str(one) for name, one in read(self.faults_file.read_bytes()).items()}

    @property
    def faults_file(self):
        return self.folder / "faults.json"

    def lines(self, *names: str) -> list[dict]:
        """Return what is written down, or some of each line."""
        text = (self.folder / "decisions.jsonl").read_text()
        found = [json.loads(line) for line in text.splitlines()]
        return [{n: line[n] for n in names if n in line} for line in found] if names else found
