"""Where `inferctl` begins: an interrupt while its modules load is a sentence, too."""

import sys


def main() -> None:
    try:
        from inference_provider.cli.main import main as run  # noqa: PLC0415 - this is the wait
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; nothing was changed\n")
        sys.exit(130)
    run()
