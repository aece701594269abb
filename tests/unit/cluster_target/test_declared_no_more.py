"""What a workspace in a cluster declares no more, and who may not remove it."""

import pytest
from tests.cluster_api import failure
from tests.unit.cluster_target.stack import ANN

from inference_provider.desired import resolve
from inference_provider.spec import StackSpec
from inference_provider.targets.kubernetes.refusals import Forbidden

INGRESS = "/apis/networking.k8s.io/v1/namespaces/lab/ingresses/inference-router"
QUOTA = "/api/v1/namespaces/lab/resourcequotas/inference-quota"
EXPOSED = {"router": {"ingress": {"host": "score.example.org"}}}
BOUNDED = {"quota": {"pods": "10"}}


def space(**cluster):
    target = {"kind": "kubernetes", "namespace": "lab"}
    fields = {"name": "demo", "target": target, "runtime_image": "router:1", "cluster": cluster}
    [found] = resolve(StackSpec.model_validate({"name": "shop", "workspaces": [fields]}))
    return found


def refuse(api, verb, path):
    group = path.split("/")[2] if path.startswith("/apis/") else ""
    resource = path.split("/")[-2]
    answer = api.refuse
    said = f'User "bob" cannot {verb.lower()} resource "{resource}" in API group "{group}"'
    where = f'{resource} "x" is forbidden: {said} in the namespace "lab"'
    api.refuse = lambda asked: (
        failure(403, where) if (asked.method, asked.url.path) == (verb, path) else answer(asked)
    )


@pytest.mark.parametrize(
    ("path", "declared"),
    [pytest.param(INGRESS, EXPOSED, id="ingress"), pytest.param(QUOTA, BOUNDED, id="quota")],
)
def test_what_may_not_be_removed_is_still_declared(api, engine, path, declared):
    engine.apply(space(**declared), ANN)
    assert path in api.objects
    refuse(api, "DELETE", path)
    with pytest.raises(Forbidden, match="'bob' may not delete"):
        engine.apply(space(), ANN)
    assert path in api.objects
    recorded = engine.observe_one(space().id).record.properties["cluster"]
    unlike = space().properties["cluster"]
    assert [name for name in recorded if recorded[name] != unlike[name]] == [*declared]


@pytest.mark.parametrize("path", [INGRESS, QUOTA])
def test_who_may_not_even_look_at_what_is_not_declared_is_not_refused(api, engine, path):
    refuse(api, "GET", path)
    engine.apply(space(), ANN)
    engine.delete(space().id, "shop", ANN)
    assert api.objects.keys() & {INGRESS, QUOTA} == set()
