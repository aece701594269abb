"""Where `inferctl` begins: an interrupt while its modules load is a sentence, too."""

import gc
import sys

_COLLECT_EVERY = 50_000
"""New objects between two collections. Loading makes so many that stay that collecting every 700,
as Python does by itself, takes a twelfth of a short command."""


def main() -> None:
    gc.set_threshold(_COLLECT_EVERY)
    try:
        from inference_provider.cli.main import main as run  # noqa: PLC0415 - this is the wait
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; nothing was changed\n")
        sys.exit(130)
    run()
