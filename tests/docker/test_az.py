"""`inferctl az` in a workspace on a Docker host, which ./stack.yaml names."""

import json

import pytest

from tests.docker.stack import stack_of

pytestmark = pytest.mark.docker


def test_a_deployment_gets_its_instance_type_there_and_another_by_an_update(host, tmp_path):
    (tmp_path / "request.json").write_text("{}")
    with stack_of(host, tmp_path) as stack:
        for section in ("endpoints", "deployments", "traffic"):
            stack.document[section] = []
        stack.up()

        def az(line: str):
            code, said = stack.said("az", *line.split(), "--only-show-errors")
            assert code == 0, said
            return json.loads(said) if said else None

        limits = "--query resources.limits"
        az("online-endpoint create -n chat")
        first = az(
            "online-deployment create -n blue -e chat --all-traffic --set"
            " environment=azureml:plain:1 code_configuration.code=code instance_count=1"
            f" instance_type=Standard_DS1_v2 {limits}"
        )
        assert first == {"cpu": "1", "memory": "3.5Gi"}
        assert az("online-endpoint invoke -n chat -r request.json") == ""
        update = f"online-deployment update -n blue -e chat {limits} --set"
        other = az(f"{update} instance_type=Standard_F2s_v2")
        assert other == {"cpu": "2", "memory": "4Gi"}
        assert az(f"{update} resources.limits.cpu=0.5") == {"cpu": "0.5", "memory": "4Gi"}
        az("online-endpoint delete -n chat -y")
