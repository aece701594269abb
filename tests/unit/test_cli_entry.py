"""The first moment of `inferctl`: its modules are not all loaded yet."""

import subprocess
import sys

import pytest

INTERRUPTED_WHILE_LOADING = """
import sys

module = sys.argv.pop(1)


class Interrupt:
    def find_spec(self, name, *_):
        if name == module:
            sys.meta_path.remove(self)
            raise KeyboardInterrupt


sys.meta_path.insert(0, Interrupt())
from inference_provider.cli.entry import main

main()
"""


@pytest.mark.parametrize("module", ["typer", "inference_provider.spec"])
def test_an_interrupt_while_modules_load_is_a_sentence(module):
    command = [sys.executable, "-c", INTERRUPTED_WHILE_LOADING, module, "drift"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "interrupted; nothing was changed\n"


@pytest.mark.parametrize(
    "module",
    [
        *("typer", "yaml._yaml", "pydantic_core._pydantic_core"),
        *("inference_provider.targets.registry", "inference_provider.targets.local.target"),
    ],
)
def test_a_ctrl_c_before_anything_can_change_is_a_sentence(module, tmp_path):
    (tmp_path / "stack.yaml").write_text("name: empty\n")
    program = INTERRUPTED_WHILE_LOADING.replace(
        "raise KeyboardInterrupt", "os.kill(os.getpid(), signal.SIGINT)"
    )
    command = [sys.executable, "-c", f"import os, signal\n{program}", module, "drift"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "interrupted; nothing was changed\n"


def test_an_ignored_interrupt_stays_ignored():
    code = "from inference_provider.cli.entry import main; main()"
    program = f"import os, signal; signal.signal(signal.SIGINT, signal.SIG_IGN); {code}"
    command = [sys.executable, "-c", program, "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_entry_runs_the_commands():
    code = "from inference_provider.cli.entry import main; main()"
    command = [sys.executable, "-c", code, "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("inferctl ")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_cancelled_job_and_a_closed_terminal_interrupt_as_ctrl_c_does(name):
    code = (
        "import os, signal\n"
        "from inference_provider.cli.entry import raise_interrupts\n"
        f"signal.signal(signal.{name}, signal.SIG_DFL)\n"  # nohup has it ignored
        "raise_interrupts()\n"
        f"try: os.kill(os.getpid(), signal.{name}); signal.pause()\n"
        "except KeyboardInterrupt: print('interrupted')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "interrupted\n"
