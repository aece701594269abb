"""What follows from a router's table alone."""

from inference_provider.router.table import DeploymentEntry, EndpointEntry, longest_request_s


def entry(name, *timeouts_ms):
    return EndpointEntry(
        name=name,
        keys=(),
        deployments=tuple(
            DeploymentEntry(name=f"d{ms}", backends=(), timeout_ms=ms, max_concurrent=1)
            for ms in timeouts_ms
        ),
    )


def test_every_request_has_ended_2_s_after_the_longest_time_that_one_may_take():
    assert longest_request_s([entry("a", 5_000, 180_000), entry("b", 1_000)]) == 182
    assert longest_request_s([entry("a")]) == 2
