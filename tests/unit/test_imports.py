"""A command imports what it needs: each module below takes time that every start would pay."""

import subprocess
import sys

import pytest

from inference_provider.cli.main import COMMANDS, load
from inference_provider.cli.main import app as listed

NOT_FOR_READING = (
    "asyncio", "click", "filelock", "httpcore", "httpx", "packaging.requirements", "pygments",
    "pynvml", "rich", "supervisor",
)  # fmt: skip
SLOW = (
    *NOT_FOR_READING,
    *("importlib.metadata", "psutil", "pydantic", "yaml"),
    *("inference_provider.spec", "inference_provider.targets"),
)
STACK = """\
name: demo
workspaces: [{name: default}]
endpoints: [{name: iris}]
"""


def imported_by(*words, folder, among):
    """Return which of some modules one run of inferctl imports."""
    code = (
        "import sys\n"
        f"sys.argv = ['inferctl', *{words!r}]\n"
        "from inference_provider.cli.entry import main\n"
        "try: main()\n"
        f"finally: print([m for m in {among!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={"INFERENCE_STATE_DIR": str(folder / "state"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_none_of_the_slow_modules(tmp_path, option):
    assert imported_by(option, folder=tmp_path, among=SLOW) == "[]"


def test_drift_in_a_pipe_imports_no_http_client_no_event_loop_and_no_rich(tmp_path):
    (tmp_path / "stack.yaml").write_text(STACK)
    found = imported_by("drift", folder=tmp_path, among=NOT_FOR_READING)
    assert found == "[]"


def test_every_listed_command_is_there_and_says_its_line_of_the_list_first():
    said = {name: load(name).get_short_help_str(200) for name in COMMANDS}
    assert said == {name: entry.help for name, entry in COMMANDS.items()}
    assert [command.name for command in listed.registered_commands] == list(COMMANDS)


def test_the_service_needs_no_more_than_the_image_of_a_docker_host_has():
    code = (
        "import sys\n"
        "import inference_provider.service.__main__, inference_provider.targets.docker.target\n"
        "print([m for m in ('prometheus_client', 'opentelemetry') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
