"""What the pods of a cluster's router say of spans, told together."""

import pytest

from inference_provider.targets.kubernetes.router_status import combined
from inference_provider.workspace.statuses import RouterStatus

GO, DROPPED = "spans go to http://otel", "spans are dropped: nothing listens at http://otel"


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (["", ""], ""),
        ([GO, GO], GO),
        ([DROPPED, DROPPED], DROPPED),
        ([GO, DROPPED], f"router pod a: {GO}; router pod b: {DROPPED}"),
        ([GO, ""], f"router pod a: {GO}"),
    ],
)
def test_what_all_pods_say_is_told_once_and_what_some_say_by_pod(told, said):
    pods = {name: RouterStatus(beside=one) for name, one in zip("ab", told, strict=True)}
    assert combined(pods).beside == said
    paged = {name: one.model_copy(update={"metrics_port": 9464}) for name, one in pods.items()}
    page = "metrics on port 9464 of each router pod"
    assert combined(paged, metrics_port=9464).beside == (f"{page}; {said}" if said else page)
