"""A real engine and a real Docker Engine: nothing to change, a change by hand, nothing left."""

import os
import re
import shutil

import pytest
from tests.docker_host import BASE_IMAGE
from tests.pulumi.conftest import SERVER, TYPED

from inference_provider.targets.docker import names
from inference_provider.targets.docker.host import DockerHost

pytestmark = [
    pytest.mark.pulumi,
    pytest.mark.docker,
    pytest.mark.timeout(400),
    pytest.mark.skipif(shutil.which("pulumi") is None, reason="no pulumi engine on PATH"),
]


@pytest.fixture
def host():
    found = DockerHost("docker")
    yield found
    found.close()


def test_a_program_on_a_docker_host_settles_sees_what_people_do_and_leaves_nothing(program, host):
    workspace = f"edge{os.getpid()}"
    here = f'"{workspace}", target="docker", base_image="{BASE_IMAGE}"'
    program.write(TYPED.replace('"edge", router_port=ROUTER_PORT', here))
    everywhere = SERVER.replace('("127.0.0.1",', '("0.0.0.0",')
    (program.folder / "code" / "server.py").write_text(everywhere)
    program.up()
    program.expect_no_changes()
    assert program.score(program.output()) == 200

    [before] = host.containers(names.selecting(workspace, names.INSTANCE))
    host.remove(before["Id"])
    said = program.pulumi("refresh", "--preview-only", "--expect-no-changes", "--diff", rc=7)
    assert re.search(r"instance_count *: 1 => 0", said)
    program.up()
    [after] = host.containers(names.selecting(workspace, names.INSTANCE))
    assert after["Id"] != before["Id"]
    program.expect_no_changes()
    assert program.score(program.output()) == 200

    program.pulumi("destroy", "--yes", "--skip-preview")
    of_workspace = {"label": [f"{names.WORKSPACE}={workspace}"]}
    assert host.containers(of_workspace) == []
    assert host.volumes(of_workspace) == []
    with host.asked("list", "networks") as api:
        assert api.networks(filters=of_workspace) == []
