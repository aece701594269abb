"""What connections hold gets into pods, and no object but Secrets shows it."""

import base64
import json

import pytest

from inference_provider.observed import Kind
from inference_provider.targets.kubernetes import objects
from inference_provider.targets.kubernetes.objects import SECRET, name_of
from tests.cluster.loaded import loaded

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(280)]
FIRST, SECOND = "first-hidden-word-4711", "second-hidden-word-4712"
REFERENCE = "${{azureml://connections/my_hub/credentials/key}}"
SHOWN = (
    objects.POD,
    objects.EVENT,
    objects.CONFIG_MAP,
    objects.SERVICE,
    objects.DEPLOYMENT,
    objects.Kind("apps/v1", "ReplicaSet", "replicasets"),
    objects.LEASE,
    objects.POLICY,
)


@pytest.fixture(scope="module")
def served():
    with loaded("conn") as lab:
        yield lab


def holding(lab, secret):
    """Return the objects in whose text a secret stands, in clear or as Secrets write it."""
    forms = (secret, base64.b64encode(secret.encode()).decode())
    client = lab.platform.client
    return {
        f"{kind.name} {name_of(one)}"
        for kind in (*SHOWN, SECRET)
        for one in client.items(kind, lab.workspace, "")
        if any(form in json.dumps(one) for form in forms)
    }


def test_a_secret_is_in_the_pod_and_in_the_secret_of_its_generation_alone(served):
    def hub(secret):
        return served.connection("my_hub", category="ApiKey", credentials={"key": secret})

    asking = served.deployment(environment_variables={"OPENAI_KEY": REFERENCE})
    served.apply(hub(FIRST), served.secrets_reader(), asking)
    assert served.sets("OPENAI_KEY", FIRST)
    [first] = set(served.instances().values())
    found = holding(served, FIRST)
    assert [one.partition(" ")[0] for one in found] == ["Secret"]
    assert first in next(iter(found))
    served.apply(hub(SECOND))
    assert served.sets("OPENAI_KEY", SECOND)
    assert holding(served, FIRST) == set()
    assert [one.partition(" ")[0] for one in holding(served, SECOND)] == ["Secret"]
    there = served.target.observe_one(served.of(Kind.DEPLOYMENT).id)
    assert there.degraded == ""
