"""What `ssh` is asked for a Docker host; the connections themselves are in tests/docker."""

from pathlib import Path

import pytest

from inference_provider.targets.docker.ssh import ssh_command

OPTIONS = (
    "ssh -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=10 -o ServerAliveCountMax=3"
    " -o ExitOnForwardFailure=yes -o ControlMaster=no -o ControlPath=none -o RemoteCommand=none"
    " -o RequestTTY=no"
)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ssh://GPU-1", "-L /t/s:/var/run/docker.sock -- GPU-1 cat"),
        ("ssh://ana@gpu-1:2222", "-L /t/s:/var/run/docker.sock -l ana -p 2222 -- gpu-1 cat"),
        (
            "ssh://gpu-1/run/user/1000/docker.sock",
            "-L /t/s:/run/user/1000/docker.sock -- gpu-1 cat",
        ),
        ("ssh://ana@[fe80::1]:22/", "-L /t/s:/var/run/docker.sock -l ana -p 22 -- fe80::1 cat"),
        ("ssh://-oProxyCommand=x", "-L /t/s:/var/run/docker.sock -- -oProxyCommand=x cat"),
    ],
)
def test_ssh_forwards_the_engines_socket_and_takes_no_host_for_an_option(url, said):
    assert " ".join(ssh_command(url, Path("/t/s"))) == f"{OPTIONS} {said}"
