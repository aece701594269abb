"""Which images may go, by the Engine's answers."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any, cast

import pytest

from inference_provider.targets.docker.kept_images import HostImageStore
from inference_provider.workspace.image_store import KeptImage


class Host:
    """A host with one image, tagged some seconds ago, whose Engine is in some time zone."""

    def __init__(self, ago_s, zone):
        tagged = datetime.now(UTC).astimezone(zone) - timedelta(seconds=ago_s)
        metadata = {"LastTagTime": tagged.isoformat()}
        self._there = {"RepoTags": ["inference-environment:5efd"], "Metadata": metadata}

    def image(self, _id):
        return self._there

    @contextmanager
    def asked(self, _operation, _resource):
        yield SimpleNamespace(remove_image=lambda _name: None)

    def has_image(self, _id):
        return False


@pytest.mark.parametrize("hours", [-5, 0, 2])
@pytest.mark.parametrize(("ago_s", "goes"), [(20, False), (120, True)])
def test_an_image_that_is_a_minute_old_goes_in_whatever_zone_its_engine_is(hours, ago_s, goes):
    host = cast("Any", Host(ago_s, timezone(timedelta(hours=hours))))
    store = HostImageStore(host, cast("Any", None), lambda: ())
    assert store.remove(KeptImage("inference-environment:5efd", "sha256:1", 1, "")) is goes
