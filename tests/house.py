"""A convergence over a stub of a router, and threads that change things in it."""

import threading
from typing import Any

from inference_provider.targets.memory_records import MemoryRecords
from inference_provider.workspace.convergence import Convergence, Publish

SECTION = "things"


class StubRouter:
    """Serves the names of all things; a test says what a publication meets."""

    reads_records = False

    def __init__(self) -> None:
        self.before = lambda _names: None
        self.served = ()
        self.tables = []
        self.up = True
        self.asked = 0
        self.known = True

    def runs(self):
        return self.up

    def ensure_up(self, _build):
        self.asked += 1
        self.up = True

    def in_force(self):
        return self.known

    def publish(self, names):
        self.before(names)
        self.served = names
        self.tables.append(names)
        self.known = True


class House:
    """A convergence over memory's records and a stub of a router."""

    def __init__(self, gather_s: float = 0.0) -> None:
        self.records = MemoryRecords("lab")
        self.router = StubRouter()
        stub: Any = self.router
        self.convergence = Convergence(self.records, stub, self.names, gather_s)

    def names(self):
        return tuple(self.records.section(SECTION))

    def put(self, name, publish=Publish.ALWAYS):
        self.convergence.change(lambda: self.records.put(SECTION, name, name), publish)

    def waiting(self, count):
        until = threading.Event()
        for _ in range(2000):
            if len(self.convergence._waiting) == count:
                return
            until.wait(0.005)
        raise AssertionError("they do not wait")


class Held:
    """A first change whose publication is held in a thread of its own."""

    def __init__(self, house) -> None:
        self.house = house
        self.begun, self.go = threading.Event(), threading.Event()
        house.router.before = self._hold
        self.thread = threading.Thread(target=house.put, args=("first",))

    def _hold(self, _names):
        self.house.router.before = lambda _names: None
        self.begun.set()
        assert self.go.wait(10)

    def __enter__(self):
        self.thread.start()
        assert self.begun.wait(10)
        return self

    def __exit__(self, *_):
        self.go.set()
        self.thread.join()


def in_threads(*calls):
    raised: list[BaseException | None] = [None] * len(calls)

    def run(number):
        try:
            calls[number]()
        except BaseException as fault:  # noqa: BLE001 - the test looks at it
            raised[number] = fault

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    return threads, raised
