"""Other users of this machine, as whom a test run by root may act."""

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def nobody() -> Iterator[None]:
    """Act as a user without any right."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
