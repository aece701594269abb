"""Who changes a workspace at once is published at once, and only who is at fault fails."""

import threading

import pytest

from inference_provider.errors import RouterRejected, TargetError
from inference_provider.observed import Kind
from tests.conformance.labs import ANN, wait_until

NAMES = [f"e-{number:02}" for number in range(12)]


class Crowd:
    """Changes that wait together while the first one is being published.

    The first change is published alone; all others have queued before it is in force.
    """

    def __init__(self, lab) -> None:
        self.lab = lab
        self.faults = {}

    def do(self, changes, before=lambda _endpoints: None) -> int:
        """Make changes by name; return how many publications were tried after the first."""
        lab, begun, queued = self.lab, threading.Event(), threading.Event()
        convergence = lab.target._workspace(lab.workspace).convergence

        def hold(_endpoints):
            lab.router.before = before
            begun.set()
            assert queued.wait(20)

        def run(name, change):
            try:
                change()
            except BaseException as fault:  # noqa: BLE001 - the test looks at it
                self.faults[name] = fault

        lab.router.before = hold
        names = ["first", *changes]
        calls = [lambda: lab.apply(lab.endpoint("first")), *changes.values()]
        threads = [
            threading.Thread(target=run, args=pair) for pair in zip(names, calls, strict=True)
        ]
        threads[0].start()
        assert begun.wait(20)
        attempts = lab.router.attempts
        for thread in threads[1:]:
            thread.start()
        try:
            wait_until(lambda: len(convergence._waiting) == len(changes))
        finally:
            queued.set()
            for thread in threads:
                thread.join()
            lab.router.before = lambda _endpoints: None
        return lab.router.attempts - attempts


@pytest.fixture
def crowd(served):
    return Crowd(served)


def endpoint(lab, name):
    return lambda: lab.target.apply(lab.endpoint(name), ANN)


def refuse_one(name):
    """Return a router's refusal of every table that has one endpoint in it."""

    def before(endpoints):
        if name in [one.name for one in endpoints]:
            raise RouterRejected(f"it does not like {name}")

    return before


def served_endpoints(lab):
    return [name for name in ("first", *NAMES) if lab.ask(name, key="wrong") == 401]


def test_all_who_wait_while_one_is_published_are_published_once(served, crowd):
    assert crowd.do({name: endpoint(served, name) for name in NAMES}) == 1
    assert crowd.faults == {}
    assert served_endpoints(served) == ["first", *NAMES]
    assert sorted(served.journal()[6:]) == [f"create Endpoint {n}" for n in (*NAMES, "first")]


def test_changes_of_different_kinds_are_published_once(served, crowd):
    old = served.keys()
    changes = {
        "rose": endpoint(served, "rose"),
        "key": lambda: served.target.rotate_key(served.id(Kind.ENDPOINT, "iris"), "primary", ANN),
        "traffic": lambda: served.apply(served.traffic()),
        "model": lambda: served.apply(served.of(Kind.MODEL)),
    }
    assert crowd.do(changes) == 1
    assert crowd.faults == {}
    assert [served.ask(key=key) for key in (old[0], old[1])] == [401, 404]
    assert served.ask("rose", key="wrong") == 401


def test_a_bad_edit_among_many_fails_alone(served, crowd):
    changes = {name: endpoint(served, name) for name in NAMES}
    changes["bad"] = lambda: served.apply(served.traffic("iris", gone=100))
    assert crowd.do(changes) == 1
    assert [*crowd.faults] == ["bad"]
    assert isinstance(crowd.faults["bad"], TargetError)
    assert "iris/gone' is not there" in str(crowd.faults["bad"])
    assert served_endpoints(served) == ["first", *NAMES]
    assert served.ask() == 200


def test_when_the_router_refuses_one_of_many_only_that_one_fails(served, crowd):
    changes = {name: endpoint(served, name) for name in NAMES}
    # refused together, then in halves: 12, 6, 6, 3, 3, 1, 2, 1, 1 at most
    assert crowd.do(changes, refuse_one(NAMES[5])) <= 9
    assert {name: str(fault) for name, fault in crowd.faults.items()} == {
        NAMES[5]: "render the router's configuration: Envoy refused it: it does not like e-05"
    }
    assert served_endpoints(served) == ["first", *(name for name in NAMES if name != NAMES[5])]
    assert served.target.record(served.id(Kind.ENDPOINT, NAMES[5])) is None
    assert NAMES[5] not in served.documents()["keys"]
    assert "create Endpoint e-05" not in served.journal()


def test_an_error_of_another_kind_in_the_publication_fails_only_who_causes_it(served, crowd):
    def before(endpoints):
        if NAMES[2] in [one.name for one in endpoints]:
            raise ZeroDivisionError(NAMES[2])

    crowd.do({name: endpoint(served, name) for name in NAMES[:4]}, before)
    assert {name: repr(fault) for name, fault in crowd.faults.items()} == {
        NAMES[2]: "ZeroDivisionError('e-02')"
    }
    assert served_endpoints(served) == ["first", NAMES[0], NAMES[1], NAMES[3]]


def test_when_the_router_refuses_everything_all_fail_and_nothing_is_left(served, crowd):
    def before(_endpoints):
        raise RouterRejected("it likes nothing")

    crowd.do({name: endpoint(served, name) for name in NAMES[:4]}, before)
    assert sorted(crowd.faults) == NAMES[:4]
    assert served_endpoints(served) == ["first"]
    assert sorted(served.documents()["keys"]) == ["first", "iris"]
    served.apply(served.endpoint(NAMES[0]))
    assert served_endpoints(served) == ["first", NAMES[0]]


def test_an_interrupted_one_of_many_leaves_the_others_to_be_done(served, crowd):
    interrupted = []

    def before(_endpoints):
        if not interrupted:
            interrupted.append(True)
            raise KeyboardInterrupt

    crowd.do({name: endpoint(served, name) for name in NAMES[:4]}, before)
    assert [type(fault) for fault in crowd.faults.values()] == [KeyboardInterrupt]
    [gone] = crowd.faults
    assert served_endpoints(served) == ["first", *(n for n in NAMES[:4] if n != gone)]


def test_many_at_once_cost_fewer_publications_than_changes(served):
    lab = served
    attempts = lab.router.attempts
    gate = threading.Barrier(len(NAMES))

    def make(name):
        gate.wait()
        lab.apply(lab.endpoint(name))

    threads = [threading.Thread(target=make, args=(name,)) for name in NAMES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lab.router.attempts - attempts <= len(NAMES)
    assert served_endpoints(lab) == NAMES
