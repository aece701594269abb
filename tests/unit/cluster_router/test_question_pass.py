"""What lets a client put questions to the pods of a router: made, kept, shown, read again."""

import re

import httpx
import pytest
from tests.cluster_api import failure

from inference_provider.errors import TargetUnreachable
from inference_provider.targets.kubernetes.objects import decoded, encoded
from inference_provider.targets.kubernetes.refusals import Forbidden
from inference_provider.targets.kubernetes.releases import HEADER, this_release

SECRET = "/api/v1/namespaces/lab/secrets/inference-router-questions"
REFUSED = httpx.Response(403, json={"fault": "refused"}, headers={HEADER: this_release()})
LABELS = {
    "app.kubernetes.io/managed-by": "pulumi-inference",
    "app.kubernetes.io/part-of": "demo",
    "app.kubernetes.io/component": "router",
    "pulumi-inference/workspace": "demo",
    "pulumi-inference/role": "router",
}


def passed(lab) -> str:
    return decoded(lab.api.objects[SECRET]["data"])["pass"]


def reads(lab) -> int:
    return lab.api.requests.count(f"GET {SECRET}")


def test_a_router_is_made_with_a_secret_that_is_no_record_and_that_who_applies_again_keeps(lab):
    lab.router.apply()
    first, made = passed(lab), lab.api.objects[SECRET]
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", first)
    assert (made["type"], made["metadata"]["labels"]) == ("pulumi-inference/pass", LABELS)
    lab.router.apply()
    assert passed(lab) == first
    lab.router.remove()
    assert SECRET not in lab.api.objects
    lab.router.apply()
    assert passed(lab) != first


@pytest.mark.parametrize("kept", ["", "short", "a pass with blanks in it, and long enough too\n"])
def test_what_is_no_pass_is_replaced(lab, kept):
    lab.router.apply()
    lab.api.objects[SECRET]["data"] = encoded({"pass": kept})
    lab.router.apply()
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", passed(lab))


def test_a_secret_that_somebody_deleted_is_told_and_made_again(lab):
    lab.router.apply()
    lab.add("router-a")
    assert lab.router.status().fault == ""
    lab.api.drop(SECRET)
    assert lab.router.status().fault == "Secret inference-router-questions is gone"
    lab.router.apply()
    assert lab.router.status().fault == ""


def test_questions_show_it_and_it_is_read_once(lab):
    lab.router.apply()
    lab.add("router-a")
    lab.router.wait_healthy("iris/blue", 1)
    before = reads(lab)
    lab.router.wait_healthy("iris/blue", 1)
    lab.router.status()
    assert lab.shown == [passed(lab)] * 3
    assert reads(lab) == before


def test_pods_that_want_another_one_are_asked_again_with_what_is_there_now(lab):
    lab.router.apply()
    lab.add("router-a")
    lab.router.wait_healthy("iris/blue", 1)
    first = passed(lab)
    lab.api.drop(SECRET)
    lab.router.apply()
    answers = iter([REFUSED, {"answer": None}])
    lab.answers["router-a", "ask"] = lambda: next(answers)
    lab.router.wait_healthy("iris/blue", 1)
    assert lab.shown == [first, first, passed(lab)]


def test_a_pod_of_a_release_without_it_answers_who_has_none(lab):
    lab.add("router-a")
    lab.router.wait_healthy("iris/blue", 1)
    assert lab.shown == [None]


def test_who_has_none_to_show_is_told_what_makes_it(lab):
    lab.add("router-a")
    lab.answers["router-a", "ask"] = REFUSED
    with pytest.raises(TargetUnreachable) as refused:
        lab.router.wait_healthy("iris/blue", 1)
    assert str(refused.value) == (
        "ask router pod router-a: Secret 'inference-router-questions', by which clients may ask"
        " it, is gone or has no pass; run `inferctl up`, which makes it again"
    )


def test_a_pod_that_has_not_heard_of_it_is_asked_again_later(lab):
    lab.router.apply()
    lab.add("router-a")
    lab.answers["router-a", "ask"] = REFUSED
    with pytest.raises(TargetUnreachable) as refused:
        lab.router.wait_healthy("iris/blue", 1)
    assert str(refused.value) == (
        "ask router pod router-a: it does not know what Secret 'inference-router-questions' has"
        " now; run this again"
    )
    assert passed(lab) not in str(refused.value)


def test_who_may_not_read_it_is_told_which_right_is_missing(lab):
    lab.router.apply()
    lab.add("router-a")
    answered = lab.api.refuse

    def refuse(asked):
        if asked.url.path != SECRET:
            return answered(asked)
        said = 'User "ann" cannot get resource "secrets" in API group "" in the namespace "lab"'
        return failure(403, f"secrets is forbidden: {said}")

    lab.api.refuse = refuse
    with pytest.raises(Forbidden, match="may not get secrets"):
        lab.router.wait_healthy("iris/blue", 1)
    assert lab.shown == []
