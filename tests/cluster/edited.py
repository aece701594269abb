"""What a person does to the objects of a deployment with `kubectl edit`."""

import json

from inference_provider.targets.kubernetes.objects import DEPLOYMENT, name_of

EDITOR = r"kubectl-edit at 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def edit(lab, api, kind, change: dict) -> None:
    answer = api.http.patch(
        kind.path(lab.workspace, name(lab)),
        params={"fieldManager": "kubectl-edit"},
        headers={"content-type": "application/merge-patch+json"},
        content=json.dumps(change),
    )
    assert answer.is_success, answer.text


def name(lab) -> str:
    [deployment] = [
        name_of(one)
        for one in lab.platform.client.items(DEPLOYMENT, lab.workspace)
        if name_of(one).startswith("iris-blue-")
    ]
    return deployment
