"""The last request of what goes is waited for, and nobody else waits."""

import threading
import time

from inference_provider.observed import Kind
from tests.conformance.labs import ANN, wait_until


class Change:
    """A change in a thread of its own."""

    def __init__(self, change) -> None:
        self.fault: BaseException | None = None
        self._change = change
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._change()
        except BaseException as fault:  # noqa: BLE001 - the test looks at it
            self.fault = fault

    @property
    def runs(self) -> bool:
        return self.thread.is_alive()

    def end(self) -> None:
        self.thread.join(30)
        assert not self.runs
        assert self.fault is None


def test_a_deployment_that_is_replaced_waits_for_its_request(served):
    old = served.instances()
    with served.in_flight() as flight:
        wanted = served.deployment(environment_variables={"A": "2"})
        change = Change(lambda: served.apply(wanted))
        wait_until(lambda: served.target.record(wanted.id).generation == wanted.generation)
        began = time.monotonic()
        served.apply(served.endpoint("rose"))
        assert time.monotonic() - began < served.soon_s
        assert change.runs
        assert old.items() <= served.instances().items()
        flight.land()
        change.end()
    assert flight.status == 200
    assert [*served.instances().values()] == [wanted.generation]


def test_a_deployment_that_is_deleted_waits_for_its_request(served):
    blue = served.of(Kind.DEPLOYMENT).id
    with served.in_flight() as flight:
        served.apply(served.traffic())
        change = Change(lambda: served.delete(blue))
        wait_until(lambda: served.target.record(blue) is None)
        began = time.monotonic()
        served.apply(served.endpoint("rose"))
        assert time.monotonic() - began < served.soon_s
        assert change.runs
        assert len(served.instances()) == 1
        flight.land()
        change.end()
    assert flight.status == 200
    assert served.instances() == {}
    assert served.documents()["instances"] == {}


def test_a_deletion_waits_for_a_request_that_no_instance_has_yet(served):
    blue = served.of(Kind.DEPLOYMENT).id
    served.apply(served.traffic())
    served.router.queued.add("iris/blue")
    change = Change(lambda: served.delete(blue))
    try:
        wait_until(lambda: served.target.record(blue) is None)
        change.thread.join(0.3)
        assert change.runs
        assert len(served.instances()) == 1
    finally:
        served.router.queued.clear()
    change.end()
    assert served.instances() == {}


def test_a_deletion_with_nothing_in_flight_waits_for_nobody(served):
    served.apply(served.traffic())
    began = time.monotonic()
    served.delete(served.of(Kind.DEPLOYMENT).id)
    assert time.monotonic() - began < served.soon_s
    assert served.instances() == {}


def test_what_is_scaled_in_waits_for_its_request(served):
    with served.in_flight() as flight:
        change = Change(lambda: served.apply(served.deployment(instance_count=0)))
        wait_until(lambda: not served.admitted())
        began = time.monotonic()
        served.apply(served.endpoint("rose"))
        assert time.monotonic() - began < served.soon_s
        assert change.runs
        flight.land()
        change.end()
    assert flight.status == 200
    assert served.instances() == {}


def test_another_deployment_rolls_while_one_drains(served):
    served.apply(served.deployment("green"))
    with served.in_flight() as flight:
        wanted = served.deployment(environment_variables={"A": "2"})
        change = Change(lambda: served.apply(wanted))
        wait_until(lambda: served.target.record(wanted.id).generation == wanted.generation)
        green = served.deployment("green", environment_variables={"A": "2"})
        began = time.monotonic()
        served.target.apply(green, ANN)
        assert time.monotonic() - began < served.soon_s
        assert [*served.instances("iris/green").values()] == [green.generation]
        assert change.runs
        flight.land()
        change.end()
    assert flight.status == 200


def test_a_request_that_never_ends_is_cut_once_it_has_had_its_time(served):
    served.apply(served.deployment(request_settings={"request_timeout_ms": 500}))
    with served.in_flight():
        began = time.monotonic()
        served.apply(
            served.deployment(
                request_settings={"request_timeout_ms": 500}, environment_variables={"A": "2"}
            )
        )
        assert 0.4 < time.monotonic() - began < 5 + served.soon_s
    assert len(served.instances()) == 1
