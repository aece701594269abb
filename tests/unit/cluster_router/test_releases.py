"""Pods of another release in a cluster."""

import pytest
from tests.cluster_api import failure

from inference_provider.errors import TargetUnreachable
from inference_provider.targets.kubernetes.router_questions import OtherRelease

OTHER = (
    "its image is of release 9.1.0, this client of 0.1.0: they do not fit together; set"
    " `runtime_image` to one that this release has made (`inferctl image build --push`), run"
    " `inferctl up` where the workspace has a registry instead, or use"
    " the release that has made theirs"
)


def test_pods_of_another_release_get_no_records_of_this_one(lab):
    lab.add("router-a")
    lab.release = "9 9.1.0"
    revision = dict(lab.api.objects)
    with pytest.raises(OtherRelease) as refused, lab.records.edit():
        lab.records.put("keys", "iris", "{}")
        lab.router.publish(())
    assert str(refused.value) == f"ask router pod router-a: {OTHER}"
    assert {p: o for p, o in lab.api.objects.items() if "/secrets/" in p} == {
        p: o for p, o in revision.items() if "/secrets/" in p
    }


def test_a_pod_of_a_release_that_says_nothing_of_itself_is_an_older_one(lab):
    lab.add("router-a")
    lab.release = ""
    with pytest.raises(OtherRelease, match="its image is of an older release, this client of"):
        lab.router.wait_healthy("iris/blue", 1)


def test_a_pod_of_another_release_with_the_same_format_is_understood(lab):
    lab.add("router-a")
    lab.release = "2 0.0.9"
    lab.router.publish(())


def test_a_pod_that_changed_its_release_after_an_answer_gets_no_records(lab):
    lab.router.apply()
    lab.add("router-a")
    assert lab.router.status().fault == ""
    lab.release = "9 9.1.0"
    before = {p for p in lab.api.objects if "/secrets/" in p}
    with pytest.raises(OtherRelease), lab.records.edit():
        lab.records.put("keys", "iris", "{}")
        lab.router.publish(())
    assert {p for p in lab.api.objects if "/secrets/" in p} == before


@pytest.mark.parametrize("status", [404, 429, 503])
def test_what_the_api_server_answers_itself_is_no_pod_of_another_release(lab, status):
    lab.add("router-a")
    lab.release = ""
    lab.answers["router-a", "ask"] = failure(status, "too many requests")
    with pytest.raises(TargetUnreachable):
        lab.router.wait_healthy("iris/blue", 1)


def test_the_status_says_that_a_pod_is_of_another_release(lab):
    lab.router.apply()
    lab.add("router-a")
    lab.release = "9 9.1.0"
    assert lab.router.status().fault == f"router pod router-a: {OTHER}"


def test_a_pod_of_another_release_that_ends_counts_as_gone(lab):
    lab.add("router-b", ready=False)
    lab.release = "9 9.1.0"
    assert lab.router.is_connected([]) is False
