"""Handlers that wait for a target: how many may, and that nothing waits for them."""

import asyncio
from threading import Event

import pytest
from starlette.responses import PlainTextResponse

from inference_provider.console.answers import Refused
from inference_provider.console.handlers import Handlers


def test_a_request_is_refused_while_as_many_as_may_wait_for_the_target():
    silent = Event()

    async def ask():
        handlers = Handlers(most=1)
        first = asyncio.create_task(handlers.run(lambda: late(silent)))
        await asyncio.sleep(0)
        with pytest.raises(Refused, match="1 requests wait for the target already"):
            await handlers.run(lambda: PlainTextResponse("two"))
        silent.set()
        return await first

    assert asyncio.run(ask()).body == b"late"


def test_one_browser_leaves_room_for_others():
    silent = Event()

    async def ask():
        handlers = Handlers()
        held = [
            asyncio.create_task(handlers.run(lambda: late(silent), browser="ann's"))
            for _ in range(6)
        ]
        await asyncio.sleep(0)
        with pytest.raises(Refused, match="6 requests of this browser wait already") as caught:
            await handlers.run(lambda: PlainTextResponse("seven"), browser="ann's")
        assert caught.value.status == 429
        another = await handlers.run(lambda: PlainTextResponse("other"), browser="ben's")
        silent.set()
        await asyncio.gather(*held)
        again = await handlers.run(lambda: PlainTextResponse("again"), browser="ann's")
        return another.body, again.body

    assert asyncio.run(ask()) == (b"other", b"again")


def late(silent):
    silent.wait()
    return PlainTextResponse("late")


def test_the_end_waits_for_a_change_and_for_no_other_request():
    silent, handlers = Event(), Handlers()

    async def end_while_two_wait():
        for changes in (False, True):
            asyncio.create_task(handlers.run(lambda: late(silent), changes=changes))  # noqa: RUF006
        await asyncio.sleep(0)

    asyncio.run(end_while_two_wait())  # cancels both, and returns
    [changing] = handlers.changing()
    assert (changing.is_alive(), changing.daemon) == (True, True)
    silent.set()
    changing.join()
    assert handlers.changing() == ()


def test_what_a_handler_raises_is_raised_where_it_is_waited_for():
    def fail():
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        asyncio.run(Handlers().run(fail))
