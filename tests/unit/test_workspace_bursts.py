"""Changes of a burst are published together, and who is alone waits for nobody."""

import signal
import threading
import time
from functools import partial

import pytest
from tests.house import Held, House, in_threads

from inference_provider.workspace.convergence import Publish


def in_another_thread(call):
    [thread], _ = in_threads(call)
    thread.join(10)


def test_changes_of_a_burst_are_published_together():
    house = House(gather_s=60)
    house.put("first")
    threads, _ = in_threads(*(partial(house.put, name) for name in "abcd"))
    for thread in threads:
        thread.join(10)
    assert house.router.tables == [("first",), ("a", "b", "c", "d", "first")]


def test_one_caller_after_another_waits_for_nobody():
    house, began_s = House(gather_s=60), time.monotonic()
    house.put("a")
    house.put("b")
    assert house.router.tables == [("a",), ("a", "b")]
    assert time.monotonic() - began_s < 30


def test_a_change_that_the_router_is_not_told_of_waits_for_nobody():
    house, began_s = House(gather_s=60), time.monotonic()
    in_another_thread(lambda: house.put("a"))
    house.put("b", Publish.NEVER)
    assert time.monotonic() - began_s < 30


def test_a_change_of_a_burst_that_nobody_follows_is_published_all_the_same():
    house = House(gather_s=0.2)
    in_another_thread(lambda: house.put("a"))
    house.put("b")
    assert house.router.tables == [("a",), ("a", "b")]


def test_an_interrupt_while_more_changes_are_awaited_takes_the_change_back():
    house = House(gather_s=60)
    in_another_thread(lambda: house.put("a"))
    main = threading.main_thread().ident
    threading.Timer(0.2, lambda: signal.pthread_kill(main or 0, signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        house.put("b")
    house.put("c", Publish.NEVER)
    assert (house.names(), house.router.tables) == (("a", "c"), [("a",)])


def test_where_routers_read_all_records_a_burst_waits_as_long_as_its_changes_come():
    house = House(gather_s=0.01)
    house.router.reads_records = True
    with Held(house) as held:
        time.sleep(1.0)  # a publication that takes long
        second = threading.Thread(target=house.put, args=("second",))
        second.start()
        house.waiting(1)
        held.go.set()
        while house.convergence._leader != second.ident and second.is_alive():
            time.sleep(0.002)
        house.put("third")
        second.join()
    assert len(house.router.tables) == 2
