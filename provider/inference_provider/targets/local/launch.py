"""Start one program from a 0600 file (command, environment, folder), and write its pid file.

Run by supervisord as `python -P launch.py FILE`. It becomes the program (same pid), so the pid file
is valid for the program's whole life. It lays out the program's content first, so every restart
begins like the first start. It imports little of the package, and costs milliseconds.
"""

import json
import os
import sys
import time
from pathlib import Path


def lay_out(content: dict[str, str]) -> None:
    """Make the program's trees of kept content; exit with a message when that was changed."""
    from inference_provider.targets.local import content as kept  # noqa: PLC0415 - no more of it

    for tree, place in content.items():
        try:
            kept.lay_out(Path(place), Path(tree))
        except kept.NotAsKept as fault:
            what = Path(tree).name
            sys.exit(f"the kept {what} was changed: {fault}; run `inferctl up` to restore it")


def with_values(environment: dict[str, str], order: dict[str, str]) -> dict[str, str]:
    """Return variables with the secrets that they name; exit with a message without one."""
    from inference_provider.injection import is_reference  # noqa: PLC0415 - most programs have none
    from inference_provider.targets.local import credentials  # noqa: PLC0415

    asked = {name: text for name, text in environment.items() if is_reference(text)}
    try:
        first = credentials.First(order.get("name", ""), order.get("first_values", ""))
        return environment | credentials.values(Path(order["connections"]), asked, first)
    except credentials.SecretsInjectionError as fault:
        sys.exit(f"SecretsInjectionError: {fault}")


def enclose(asked: tuple[int, str, str]) -> None:
    """Close the program's way out; exit with a message, and start nothing, if that fails."""
    from inference_provider.targets.local import own_network, passages  # noqa: PLC0415 - few need it

    try:
        own_network.enter()
    except own_network.NotPossible as fault:
        sys.exit(f"its egress cannot be closed: {fault}; `inferctl doctor` checks the machine")
    passages.keep_open(own_network.Passages(*asked))


def main(order_file: str) -> None:
    """Write this process's pid file and become the program."""
    from inference_provider.targets.local.pid_notes import note_of  # noqa: PLC0415

    order = json.loads(Path(order_file).read_text())
    pid_file = Path(order["pid_file"])
    pid_file.parent.mkdir(parents=True, exist_ok=True)
    if pid_file.exists():
        # A server killed by SIGKILL leaves workers that hold its port, and this start would fail.
        from inference_provider.targets.local import leftovers  # noqa: PLC0415

        if leftovers.find_process(pid_file) is None:
            own = order["environment"].get(leftovers.MARK_VARIABLE)
            leftovers.end_leftovers([pid_file], {own} if own else ())
    pid_file.write_text(note_of(os.getpid(), time.time()))
    if order.get("content"):
        lay_out(order["content"])
    environment = order["environment"]
    if order.get("connections"):
        environment = with_values(environment, order)
    if order.get("network"):
        enclose(order["network"])
    os.chdir(order["directory"])
    os.execvpe(order["argv"][0], order["argv"], environment)


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[3]))  # where the package is not installed, but run
    main(sys.argv[1])
