"""The certificate that the workspace service shows, as that of the workspace changes."""

import asyncio

import uvicorn
from starlette.applications import Starlette
from tests.local.server.certificates import generated

from inference_provider.console.connection import SERVER
from inference_provider.targets.memory import MemoryTarget
from inference_provider.web.log import Log
from inference_provider.web.serving import keep_certificate
from inference_provider.web.tls import Handshakes
from inference_provider.workspace.kept_tls import KeptTls
from inference_provider.workspace.state import State


class Odd(State):
    """Fails once as nobody expects."""

    failed = False

    def tls(self) -> KeptTls | None:
        if not self.failed:
            self.failed = True
            raise RuntimeError("Bearer eyJ.token")
        return super().tls()


def test_what_nobody_expects_is_told_and_stops_no_renewal(tmp_path):
    first, log = generated(), []
    newer = generated(first, names=["b.example.org"])
    state = Odd(MemoryTarget().memory.ports("lab").records)
    state.put_tls(newer)
    handshakes = Handshakes(first.tls)
    server = uvicorn.Server(uvicorn.Config(Starlette(), **SERVER))

    async def kept() -> None:
        watch = asyncio.create_task(
            keep_certificate(server, state, tmp_path, Log(log.append), handshakes)
        )
        async with asyncio.timeout(20):
            while handshakes.shown != newer.tls and not watch.done():
                await asyncio.sleep(0.05)
        watch.cancel()

    asyncio.run(kept())
    assert handshakes.shown == newer.tls
    [line] = log
    assert line.startswith(f"RuntimeError, {__file__}:")
    assert "eyJ" not in line
