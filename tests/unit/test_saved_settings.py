"""What a change of a workspace saves, when it fails."""

import pytest

from inference_provider.errors import TargetError
from inference_provider.targets.first_up import saved


class Refused(TargetError):
    """Something that cannot be done."""

    def __init__(self, what: str) -> None:
        super().__init__("apply", what, "refused")


def test_settings_that_are_saved_and_then_refused_are_put_back():
    kept = ["before"]

    def save(settings: str) -> None:
        kept[0] = settings
        if settings == "after":
            raise Refused("the router")

    with pytest.raises(Refused), saved("before", "after", save):
        pass
    assert kept == ["before"]


def test_the_first_error_is_told_when_they_cannot_be_put_back():
    def save(settings: str) -> None:
        raise Refused(settings)

    with pytest.raises(Refused, match="apply after"), saved("before", "after", save):
        pass


def test_a_change_that_fails_later_puts_them_back():
    kept = ["before"]
    with (
        pytest.raises(ValueError),
        saved("before", "after", lambda settings: kept.__setitem__(0, settings)),
    ):
        raise ValueError
    assert kept == ["before"]
