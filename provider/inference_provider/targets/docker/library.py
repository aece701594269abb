"""Errors of the `docker` library, which is loaded when a host is asked.

No command that asks none waits for it: `inferctl` answers in half a second.
"""

from types import ModuleType


def errors() -> ModuleType:
    """Return the module of the library that has its errors."""
    from docker import errors as found  # noqa: PLC0415 - as above

    return found
