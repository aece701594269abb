"""Asks an environment's own Python whether a scoring script is valid; the script is not run."""

import json
import subprocess
from pathlib import Path

from inference_provider.errors import TargetError

LIMIT_S = 60
"""Python starts in 30 ms; a minute is not the script's fault."""
_COMPILE = """
import json, sys
try:
    with open(sys.argv[1], "rb") as script:
        compile(script.read(), sys.argv[1], "exec", dont_inherit=True)
except (SyntaxError, ValueError, RecursionError, MemoryError) as fault:
    reason = getattr(fault, "msg", "") or str(fault) or "nested too deeply"
    print(json.dumps([getattr(fault, "lineno", None), reason, "%d.%d" % sys.version_info[:2]]))
"""


def refuse_invalid_script(python: Path, script: Path, written: str, deployment: str) -> None:
    """Compile a script with the environment's Python before any instance is started.

    Args:
        python: The environment's interpreter.
        script: The script, where the instances will find it.
        written: Its path as a person wrote it.
        deployment: Whose script it is.

    Raises:
        TargetError: It is not valid in that Python; says the line.
    """
    try:
        done = subprocess.run(
            [python, "-I", "-S", "-W", "ignore", "-c", _COMPILE, script],
            capture_output=True, timeout=LIMIT_S, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return  # the instance's log will say why this Python does not run
    if done.returncode or not done.stdout:
        return
    line, reason, version = json.loads(done.stdout)
    where = f"'{written}' line {line}" if line else f"'{written}'"
    raise TargetError(
        "start",
        deployment,
        f"{where} is not valid in Python {version}, the environment's: {reason}",
        "fix the script, or change the environment's python_version",
    )
