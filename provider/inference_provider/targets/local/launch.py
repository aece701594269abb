"""Start one program from a 0600 file: command, environment, folder; note the process down.

Run by supervisord as `python -P launch.py FILE`. Becomes the program (same pid), so what is noted
holds for the program's whole life. Lays out the program's content first, so a restart begins as the
first start did. Imports little of the package: a start costs milliseconds.
"""

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

START_SLACK_S = 30.0
"""Longest time between a process's start and its note, on a busy machine."""


def find_process(pid_file: Path) -> "psutil.Process | None":
    """Return the process that a note speaks of, if it still lives; never another with its pid."""
    import psutil  # noqa: PLC0415 - a program's start must not pay for it

    try:
        note = json.loads(pid_file.read_text())
        process = psutil.Process(note["pid"])
        age_at_note = note["time"] - process.create_time()
        alive = process.status() != psutil.STATUS_ZOMBIE
    except (FileNotFoundError, ValueError, psutil.Error):
        return None
    return process if alive and -1.0 <= age_at_note <= START_SLACK_S else None


def end_leftovers(pid_file: Path) -> None:
    """End the children of the process that a note speaks of, if it died and they did not.

    A server killed at once leaves workers that hold its port: the next start would fail.
    """
    import psutil  # noqa: PLC0415 - the first start of a program must not pay for it

    try:
        note = json.loads(pid_file.read_text())
    except ValueError:
        return  # a power cut left half of it, and no child either
    if psutil.pid_exists(note["pid"]) or note["time"] < psutil.boot_time():
        return  # alive, or another's by now, whose group is not ours
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            ours = os.getpgid(process.pid) == note["pid"]
            if ours and process.create_time() >= note["time"] - START_SLACK_S:
                process.kill()


def lay_out(content: dict[str, str]) -> None:
    """Make the program's trees of kept content; end with a sentence where it was changed."""
    sys.path.append(str(Path(__file__).parents[3]))
    from inference_provider.targets.local import content as kept  # noqa: PLC0415 - no more of it

    for tree, place in content.items():
        try:
            kept.lay_out(Path(place), Path(tree))
        except kept.NotAsKept as fault:
            what = Path(tree).name
            sys.exit(f"the kept {what} was changed: {fault}; run `inferctl up` to restore it")


def main(order_file: str) -> None:
    """Note this process down and become the program."""
    order = json.loads(Path(order_file).read_text())
    pid_file = Path(order["pid_file"])
    pid_file.parent.mkdir(parents=True, exist_ok=True)
    if pid_file.exists():
        end_leftovers(pid_file)
    pid_file.write_text(json.dumps({"pid": os.getpid(), "time": time.time()}))
    if order.get("content"):
        lay_out(order["content"])
    os.chdir(order["directory"])
    os.execvpe(order["argv"][0], order["argv"], order["environment"])


if __name__ == "__main__":
    main(sys.argv[1])
