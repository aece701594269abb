"""Which digests say from where a host has an image."""

import pytest

from inference_provider.targets.docker.registries import digests_of


@pytest.mark.parametrize(
    ("image", "known", "digests"),
    [
        pytest.param("debian:12", ["debian@sha256:a"], {"sha256:a"}, id="familiar"),
        pytest.param("docker.io/library/debian:12", ["debian@sha256:a"], {"sha256:a"}, id="full"),
        pytest.param("docker.io/ann/x", ["ann/x@sha256:a"], {"sha256:a"}, id="no tag"),
        pytest.param("h:5000/x:1", ["h:5000/x@sha256:a", "x@sha256:b"], {"sha256:a"}, id="port"),
        pytest.param("h:5000/x", ["h:5000/x@sha256:a"], {"sha256:a"}, id="port, no tag"),
        pytest.param("x:1", ["h:5000/x@sha256:a"], set(), id="another repository"),
        pytest.param("x:1", [], set(), id="made on the host"),
        pytest.param("x@sha256:a", ["x@sha256:a"], set(), id="pinned"),
    ],
)
def test_only_what_was_pulled_from_the_repository_of_a_name_can_be_older(image, known, digests):
    assert digests_of(image, known) == digests
