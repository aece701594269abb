"""A connection has the credentials of the bucket of a cluster's content."""

import base64
import json

import pytest
from tests.unit.cluster_target.stack import ANN, CONTENT, desired, pod_specs

from inference_provider.desired import DesiredResource, resolve
from inference_provider.errors import TargetError, TargetUnreachable
from inference_provider.observed import Kind, Presence
from inference_provider.spec import StackSpec

SECRET = "/api/v1/namespaces/lab/secrets/bucket-store"
OTHER = "/api/v1/namespaces/lab/secrets/bucket-other"
FIRST, SECOND = "first-hidden-word-4711", "second-hidden-word-4712"
FAULT = "its credentials do not let the content pod read from s3://models/demo: Forbidden"
STORAGE = {"url": "s3://models/demo", "connection": "store"}


def space(**storage) -> DesiredResource:
    return desired(cluster={"storage": {**STORAGE, **storage}})[Kind.WORKSPACE]


def connection(secret=FIRST, *, name="store", **fields) -> DesiredResource:
    keys = {"accessKeyId": "AKIA", "secretAccessKey": secret}
    one = {"category": "S3", "credentials": keys, **fields}
    stack = {"name": "shop", "workspaces": [{"name": "demo"}]}
    declared = {**stack, "connections": [{"workspace": "demo", "name": name, **one}]}
    found = resolve(StackSpec.model_validate(declared))
    return next(each for each in found if each.id.kind == Kind.CONNECTION)


def apply(engine, *wanted):
    for each in wanted:
        engine.apply(each, ANN)


def variables(api, path=SECRET) -> dict[str, str]:
    return {n: base64.b64decode(v).decode() for n, v in api.objects[path]["data"].items()}


def template(api) -> dict:
    return api.objects[CONTENT]["spec"]["template"]


def known(api) -> str:
    return template(api)["metadata"]["annotations"].get("pulumi-inference/bucket-credentials", "")


def seen(engine, one):
    return engine.observe_one(one.id)


def test_a_workspace_is_made_before_its_connection_and_asks_its_bucket_once_it_is_there(
    api, engine
):
    apply(engine, space())
    assert api.refuse.bucket_asked == []
    apply(engine, connection())
    assert variables(api) == {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": FIRST}
    assert api.refuse.bucket_asked == ["GET"]


def test_the_content_pod_alone_has_the_secret_and_no_object_but_that_says_one(api, engine):
    apply(engine, space(), connection())
    held = {"secretName": "bucket-store", "optional": True}
    pods = pod_specs(api)
    assert [name for name, pod in pods.items() if _secret(pod) == held] == ["inference-content"]
    told = json.dumps([one for path, one in api.objects.items() if path != SECRET])
    assert FIRST not in told
    assert base64.b64encode(FIRST.encode()).decode() not in told


def _secret(pod: dict) -> dict:
    return next((one["secret"] for one in pod["volumes"] if one["name"] == "variables"), {})


def test_changed_credentials_restart_the_content_pod_and_unchanged_ones_do_not(api, engine):
    apply(engine, space(), connection())
    first = known(api)
    apply(engine, connection(metadata={"note": "the same"}))
    assert known(api) == first
    apply(engine, connection(SECOND))
    assert known(api) != first
    assert variables(api)["AWS_SECRET_ACCESS_KEY"] == SECOND


def test_credentials_that_let_nobody_in_are_not_recorded_and_the_former_ones_are_back(api, engine):
    apply(engine, space(), connection())
    before = template(api)
    api.refuse.bucket_fault = f"{FAULT}\nmend it\n"
    with pytest.raises(TargetUnreachable, match="mend it"):
        apply(engine, connection(SECOND))
    assert variables(api)["AWS_SECRET_ACCESS_KEY"] == FIRST
    assert template(api) == before
    api.refuse.bucket_fault = ""
    assert seen(engine, connection()).degraded == ""


def test_first_credentials_that_let_nobody_in_leave_none_and_the_workspace_can_go(api, engine):
    apply(engine, space())
    api.refuse.bucket_fault = f"{FAULT}\nmend it\n"
    with pytest.raises(TargetUnreachable, match="mend it"):
        apply(engine, connection())
    assert SECRET not in api.objects
    assert seen(engine, connection()).presence == Presence.ABSENT
    assert seen(engine, space()).degraded == (
        "connection 'store', which its storage names, is not there"
    )
    engine.delete(space().id, "shop", ANN)
    assert engine.workspaces() == ()


def test_a_connection_that_is_there_is_given_to_a_bucket_that_is_named_later(api, engine):
    apply(engine, desired()[Kind.WORKSPACE], connection())
    assert SECRET not in api.objects
    apply(engine, space())
    assert variables(api)["AWS_SECRET_ACCESS_KEY"] == FIRST
    assert known(api) != ""
    assert api.refuse.bucket_asked == ["GET"]


def test_another_connection_takes_its_place_and_nothing_is_left_of_the_former(api, engine):
    apply(engine, space(), connection(), connection(SECOND, name="other"))
    assert OTHER not in api.objects
    apply(engine, space(connection="other"))
    assert variables(api, OTHER)["AWS_SECRET_ACCESS_KEY"] == SECOND
    assert SECRET not in api.objects
    apply(engine, desired()[Kind.WORKSPACE])
    assert OTHER not in api.objects


@pytest.mark.parametrize("first", ["workspace", "connection"])
def test_a_connection_that_does_not_fit_is_refused_whichever_comes_second(api, engine, first):
    wrong = connection(category="Git", credentials={"pat": FIRST})
    before, after = (space(), wrong) if first == "workspace" else (wrong, space())
    if first == "connection":
        apply(engine, desired()[Kind.WORKSPACE])
    apply(engine, before)
    with pytest.raises(TargetError, match="connection 'store' is of category Git"):
        apply(engine, after)
    assert SECRET not in api.objects


def test_nothing_is_kept_in_a_bucket_whose_connection_is_not_there(api, engine):
    apply(engine, space())
    with pytest.raises(TargetError) as told:
        apply(engine, desired()[Kind.ENVIRONMENT])
    assert told.value.reason == (
        "connection 'store', which has the credentials of its bucket, is not there"
    )
    assert "depends_on" in told.value.remedy


def test_a_secret_that_was_deleted_is_drift_and_there_again_with_the_next_apply(api, engine):
    apply(engine, space(), connection())
    del api.objects[SECRET]
    assert seen(engine, connection()).degraded == "Secret bucket-store is gone"
    apply(engine, connection())
    assert variables(api)["AWS_SECRET_ACCESS_KEY"] == FIRST


def test_the_credentials_stay_until_the_workspace_has_cleared_its_bucket(api, engine):
    apply(engine, space(), connection())
    engine.delete(connection().id, "shop", ANN)
    assert variables(api)["AWS_SECRET_ACCESS_KEY"] == FIRST
    engine.delete(space().id, "shop", ANN)
    assert api.refuse.bucket_asked == ["GET", "DELETE"]
    assert SECRET not in api.objects


def test_a_connection_that_no_bucket_needs_leaves_nothing(api, engine):
    apply(engine, desired()[Kind.WORKSPACE], connection())
    engine.delete(connection().id, "shop", ANN)
    assert SECRET not in api.objects


def test_the_credentials_stay_where_the_record_of_the_workspace_cannot_be_read(api, engine):
    apply(engine, space(), connection())
    records = engine.platform.ports("demo").records
    with records.edit():
        records.put("records", "Workspace.demo", "{")
    engine.delete(connection().id, "shop", ANN)
    assert seen(engine, connection()).presence == Presence.ABSENT
    assert variables(api)["AWS_SECRET_ACCESS_KEY"] == FIRST
