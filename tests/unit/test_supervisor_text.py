"""When a configuration of supervisord is still this release's."""

import pytest

from inference_provider.targets.local.supervisor_text import (
    daemon_configuration,
    is_the_same,
    listener_configuration,
)


def configuration(*arguments: str, python: str = "/a/bin/python", folder: str = "/a/lib") -> str:
    command = (python, "-I", "-S", f"{folder}/targets/local/watch.py", *arguments)
    return daemon_configuration() + listener_configuration(command)


@pytest.mark.parametrize("other", ["/b/lib", "/with blank/lib", "/it's/100%/lib"])
def test_another_installation_of_one_release_replaces_nothing(other):
    ours = configuration("ends.json", "..", "0.1.0")
    theirs = configuration("ends.json", "..", "0.1.0", python=f"{other}/python", folder=other)
    assert theirs != ours
    assert is_the_same(theirs, ours)
    assert is_the_same(ours, theirs)


@pytest.mark.parametrize(
    "theirs",
    [
        configuration("ends.json", "..", "0.0.9"),
        configuration("ends.json"),
        configuration("ends.json", "..", "0.1.0").replace(",PROCESS_STATE_STOPPING", ""),
        daemon_configuration(),
    ],
)
def test_that_of_another_release_is_another(theirs):
    assert not is_the_same(theirs, configuration("ends.json", "..", "0.1.0"))
