"""Browsers of a console over the memory target."""

import pytest
from tests.browser import Browser


class OfStack(Browser):
    """A browser beside the command line; the console has its stack file, unless told otherwise."""

    def __init__(self, cli, *, file=True, **options) -> None:
        self.cli = cli
        super().__init__(cli.target, cli.file if file else None, **options)


@pytest.fixture
def browser(served):
    """A browser of a read-only console."""
    return OfStack(served)


@pytest.fixture
def writing(served):
    """A browser of a console that may change things."""
    return OfStack(served, writes=True)
