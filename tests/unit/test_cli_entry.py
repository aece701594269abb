"""The first moment of `inferctl`: its modules are not all loaded yet."""

import subprocess
import sys

INTERRUPTED_WHILE_LOADING = """
import sys


class Interrupt:
    def find_spec(self, name, *_):
        if name == "typer":
            raise KeyboardInterrupt


sys.meta_path.insert(0, Interrupt())
from inference_provider.cli.entry import main

main()
"""


def test_an_interrupt_while_modules_load_is_a_sentence():
    command = [sys.executable, "-c", INTERRUPTED_WHILE_LOADING]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "interrupted; nothing was changed\n"


def test_the_entry_runs_the_commands():
    code = "from inference_provider.cli.entry import main; main()"
    command = [sys.executable, "-c", code, "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("inferctl ")
