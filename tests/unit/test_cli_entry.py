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


def test_the_entry_runs_the_commands():
    code = "from inference_provider.cli.entry import main; main()"
    command = [sys.executable, "-c", code, "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("inferctl ")
