"""What a person gets back; secrets only when asked for."""

from pydantic import SecretStr

from inference_provider.observed import (
    Kind,
    ObservedResource,
    ObservedState,
    Presence,
    ResourceId,
)
from inference_provider.outputs import outputs


def state(presence=Presence.PRESENT):
    endpoint = ResourceId(kind=Kind.ENDPOINT, workspace="default", name="iris")
    model = ResourceId(kind=Kind.MODEL, workspace="default", name="iris:1")
    found = ObservedResource(
        id=endpoint,
        presence=presence,
        outputs={"scoring_uri": "http://127.0.0.1:8000/endpoints/iris/score"},
        secret_outputs={"primary_key": SecretStr("hunter2")},
    )
    silent = ObservedResource(id=model, presence=Presence.PRESENT)
    return ObservedState(resources={endpoint.address: found, model.address: silent})


def test_secrets_are_hidden_unless_asked_for():
    assert outputs(state()) == {
        "Endpoint/default/iris": {
            "scoring_uri": "http://127.0.0.1:8000/endpoints/iris/score",
            "primary_key": "[secret]",
        }
    }


def test_secrets_show_when_asked_for():
    shown = outputs(state(), show_secrets=True)
    assert shown["Endpoint/default/iris"]["primary_key"] == "hunter2"


def test_what_is_unknown_has_no_outputs():
    assert outputs(state(Presence.UNKNOWN)) == {}
