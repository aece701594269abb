"""Events of a cluster's API, in Azure ML's words."""

from inference_provider.targets.kubernetes.happened import happened

GENERATIONS = {"iris-blue-5efd": "iris/blue", "iris-blue-5ef": "iris/other"}


def said(pod: str, reason: str, message: str, **other) -> dict:
    about = {"kind": "Pod", "name": pod}
    given = {"involvedObject": about, "reason": reason, "message": message, "metadata": {}}
    return {**given, "lastTimestamp": "2026-11-27T12:00:00Z", **other}


def told(*events: dict) -> list[tuple[str, str, str, int]]:
    found = happened(events, GENERATIONS)
    return [(one.deployment, one.name, one.message, one.count) for one in found]


def test_probes_that_fail_have_the_names_of_azure_ml():
    pod = "iris-blue-5efd-7c9-x2x"
    assert told(
        said(pod, "Unhealthy", "Liveness probe failed: Get http://10.0.0.1/\n timeout", count=4),
        said(pod, "Unhealthy", "Readiness probe failed: HTTP 503"),
        said(pod, "Unhealthy", "Startup probe failed: HTTP 503"),
        said(pod, "BackOff", "Back-off restarting failed container"),
    ) == [
        ("iris/blue", "LivenessProbeFailed", "Liveness probe failed: Get http://10.0.0.1/ timeout",
         4),
        ("iris/blue", "ReadinessProbeFailed", "Readiness probe failed: HTTP 503", 1),
        ("iris/blue", "StartupProbeFailed", "Startup probe failed: HTTP 503", 1),
        ("iris/blue", "BackOff", "Back-off restarting failed container", 1),
    ]  # fmt: skip


def test_events_are_in_the_order_of_their_last_time_and_of_known_pods_alone():
    series = {"lastObservedTime": "2026-11-27T12:09:00.1Z", "count": 9}
    none = {"lastTimestamp": None}
    assert told(
        said("iris-blue-5efd-7c9-a", "Started", "second", lastTimestamp="2026-11-27T12:02:00Z"),
        said("iris-blue-5ef-7c9-a", "Started", "last", series=series, **none),
        said("inference-router-1-b", "Started", "first", eventTime="2026-11-27T12:01:00Z", **none),
        said("somebody-s", "Started", "no word"),
        said("iris-blue-5efd-7c9-a", "Started", "no time", **none),
    ) == [
        ("", "Started", "first", 1),
        ("iris/blue", "Started", "second", 1),
        ("iris/other", "Started", "last", 9),
    ]
