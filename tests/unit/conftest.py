"""inferctl over the memory target; a server that takes no connection by itself."""

import socket
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.stacks import PLAIN_ENVIRONMENT
from typer.testing import CliRunner

from inference_provider.cli.main import app
from inference_provider.cli.session import Session
from inference_provider.observed import Kind
from inference_provider.router import Backend
from inference_provider.targets.memory import MemoryTarget
from inference_provider.workspace.logged import LogLine, LogQuery

STACK = (
    "name: demo\nworkspaces: [{name: default, target: memory}]\n"
    + PLAIN_ENVIRONMENT
    + """\
endpoints: [{name: iris}]
deployments:
  - {endpoint: iris, name: blue, environment: "plain:1",
     environment_variables: {PASSWORD: hunter2}}
  - {endpoint: iris, name: green, environment: "plain:1"}
traffic: [{endpoint: iris, traffic: {blue: 100}}]
"""
)
ONLY_ENDPOINT = """\
name: demo
workspaces: [{name: default, target: memory}]
endpoints: [{name: iris}]
"""


class ServedTarget(MemoryTarget):
    """A memory target whose endpoints have a scoring address and whose deployments have logs."""

    lines: Sequence[str | LogLine] = ("one", "two", "three")
    """A text is of the instance `iris.blue.1a2b.0`."""
    uri = "http://127.0.0.1:1/endpoints/iris/score"

    def observe_one(self, resource):
        return self._with_address(super().observe_one(resource))

    def observe(self, workspaces):
        state = super().observe(workspaces)
        found = {key: self._with_address(there) for key, there in state.resources.items()}
        return state.model_copy(update={"resources": found})

    def _with_address(self, there):
        uri = {"scoring_uri": self.uri}
        served = there.id.kind == Kind.ENDPOINT and there.record is not None
        return there.model_copy(update={"outputs": uri}) if served else there

    def logs(self, deployment, query=LogQuery()):  # noqa: B008 - frozen
        found = self.lines[-query.lines :] if self.record(deployment) else ()
        return (LogLine("iris.blue.1a2b.0", o) if isinstance(o, str) else o for o in found)


class Cli:
    """Runs inferctl on one memory target and one stack file."""

    STACK = STACK
    ONLY_ENDPOINT = ONLY_ENDPOINT

    def __init__(self, folder: Path) -> None:
        self.target = MemoryTarget()
        self.opened: list[str] = []
        self.file = folder / "stack.yaml"
        self.file.write_text(STACK)

    def open(self, place):
        """Note where a command looks; all places are one target here."""
        self.opened.append(str(place))
        return self.target

    def __call__(self, *args, interactive=False, said=None, transport=None):
        session = Session(make_target=self.open, interactive=interactive, transport=transport)
        return CliRunner().invoke(app, [str(arg) for arg in args], obj=session, input=said)


@pytest.fixture
def cli(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Cli(tmp_path)


@pytest.fixture
def served(cli):
    """The command line over endpoints that have an address, all of the stack applied."""
    cli.target = ServedTarget()
    assert cli("up").exit_code == 0
    return cli


@pytest.fixture(params=["port", "21000", "a b [1] %d"])
def listening(request) -> Iterator[tuple[socket.socket, Backend]]:
    """Give a server of this process that takes no connection by itself, and where it is asked."""
    with tempfile.TemporaryDirectory() as folder:  # a short path
        if request.param == "port":
            with socket.create_server(("127.0.0.1", 0)) as server:
                yield server, Backend(host="127.0.0.1", port=server.getsockname()[1])
            return
        path = f"{folder}/{request.param}"
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
            server.listen()
            yield server, Backend(host="127.0.0.1", port=21000, socket=path)
