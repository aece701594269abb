"""`console`: pages for a browser of this machine, until Ctrl-C."""

import errno
import socket
from typing import Annotated

import typer
import uvicorn

from inference_provider.cli.options import DEFAULT_FILE, OptionalFile
from inference_provider.cli.session import Session, session_of
from inference_provider.console.application import application
from inference_provider.console.connection import SERVER
from inference_provider.console.gate import Gate
from inference_provider.console.listener import Listener
from inference_provider.console.opened import Console
from inference_provider.errors import Fault, SpecError

HOST = "127.0.0.1"
PORT = 18090


def console(
    ctx: typer.Context,
    file: OptionalFile = None,
    *,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of 127.0.0.1; 0 takes a free one.")
    ] = PORT,
    write: Annotated[
        bool, typer.Option("--write", help="Let pages change things, each after its plan.")
    ] = False,
) -> None:
    """Serve pages for a browser of this machine. Read-only, unless started with --write."""
    session = session_of(ctx)
    session.command = "console"
    used = file or (DEFAULT_FILE if DEFAULT_FILE.is_file() else None)
    if used:
        session.read_name(used)
    with _listening(port) as listener:
        found = listener.getsockname()[1]
        _ = session.target  # opened by one thread
        gate = Gate(lambda token, first: _tell(session, found, token, first=first))
        opened = Console(session, gate, used, write)
        app = application(opened, found)
        try:
            uvicorn.Server(uvicorn.Config(app, **SERVER)).run(sockets=[listener])
        except KeyboardInterrupt:
            _end(session, opened)


def _end(session: Session, opened: Console) -> None:
    """Wait for changes that were begun, and for nothing else."""
    changing = opened.handlers.changing()
    if changing:
        session.err.print("finishing a change that was begun; Ctrl-C leaves it as it is")
    for thread in changing:
        thread.join()
    session.err.print("the console has ended")


def _tell(session: Session, port: int, token: str, *, first: bool) -> None:
    """Show a link; it works once, so the next stands below it as soon as it has been used."""
    url = f"http://{HOST}:{port}/login?token={token}"
    session.say(f"open {url}" if first else f"signed in; for another browser: {url}")


def _listening(port: int) -> socket.socket:
    """Return a socket that listens for this machine alone. Raises SpecError."""
    listener = Listener(socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(100)
    except OSError as exc:
        listener.close()
        used = exc.errno == errno.EADDRINUSE
        cause = "is in use, maybe by another console" if used else f"cannot be used: {exc.strerror}"
        fault = Fault("--port", f"{port} {cause}", "pass another one, or 0 for any that is free")
        raise SpecError((fault,), "the command line") from None
    return listener
