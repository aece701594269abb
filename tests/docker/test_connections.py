"""What connections hold gets into containers, and nothing that the Engine tells shows it."""

import json
import subprocess
import uuid

import pytest

from inference_provider.observed import Kind
from tests.conformance.labs import DockerLab, wait_until

pytestmark = pytest.mark.docker

SECRET = "a 'hidden' $word of 4711"
REFERENCE = "${{azureml://connections/hub/credentials/key}}"


@pytest.fixture
def lab(tmp_path):
    platform = DockerLab.open(tmp_path)
    made = DockerLab(platform, tmp_path, f"conn{uuid.uuid4().hex[:8]}")
    yield made
    made.close()


def docker(*words):
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def test_the_secret_is_in_the_instance_after_each_start_and_in_nothing_the_engine_tells(lab):
    hub = lab.connection(category="ApiKey", credentials={"key": SECRET})
    asking = lab.deployment(environment_variables={"OPENAI_KEY": REFERENCE, "PLAIN": "1"})
    lab.apply(lab.of(Kind.WORKSPACE), hub, *lab.with_secrets(asking))
    assert lab.sets("OPENAI_KEY", SECRET)
    assert lab.sets("PLAIN", "1")
    [name] = lab.instances()
    volumes = [m["Name"] for m in json.loads(docker("inspect", name))[0]["Mounts"] if m["Name"]]
    told = docker("inspect", name) + docker("logs", name) + docker("top", name)
    told += docker("volume", "inspect", *volumes) + docker("history", "--no-trunc", lab.base_image)
    assert "hidden" not in told
    docker("restart", "--time", "0", name)
    wait_until(lambda: lab.sets("OPENAI_KEY", SECRET))
    lab.apply(lab.of(Kind.WORKSPACE), lab.connection(category="ApiKey", credentials={"key": "x"}))
    assert lab.sets("OPENAI_KEY", "x")
    left = docker("volume", "ls", "--quiet").split()
    assert [one for one in volumes if one in left and len(one) == 64] == []  # the unnamed ones
