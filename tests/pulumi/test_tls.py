"""A real engine: the certificate of a workspace, generated or from the program's secrets."""

import shutil
import ssl

import httpx
import pytest
from tests.local.server.certificates import generated
from tests.pulumi.conftest import TYPED

pytestmark = [
    pytest.mark.pulumi,
    pytest.mark.local,
    pytest.mark.timeout(400),
    pytest.mark.skipif(shutil.which("pulumi") is None, reason="no pulumi engine on PATH"),
]
SPACE = "router_port=ROUTER_PORT)"


def typed(program, tls: str) -> None:
    assert SPACE in TYPED
    text = TYPED.replace(SPACE, f"{SPACE.removesuffix(')')}, tls={tls})")
    text += 'pulumi.export("ca", space.ca_certificate)\n'
    program.write(text.replace("ROUTER_PORT", str(program.router_port)))


def status(made: dict[str, str], trusted: str) -> int:
    key = {"authorization": f"Bearer {made['edge/echo key']}"}
    verified = ssl.create_default_context(cadata=trusted)
    url = made["edge/echo"]
    return httpx.post(url, headers=key, json={}, verify=verified, trust_env=False).status_code


def test_a_generated_certificate_is_an_output_and_its_key_stands_nowhere(program):
    typed(program, '{"generate": True, "minimum_version": "1.3"}')
    said = program.up()
    program.expect_no_changes()
    made = program.output()
    assert status(made, made["ca"]) == 200
    assert "PRIVATE KEY" not in said + program.held("dev")


def test_a_private_key_of_the_program_s_secrets_stands_nowhere_in_clear(program):
    own = generated()
    secret = own.tls.private_key.get_secret_value()
    # behind a line, or the command line would take them for flags
    program.pulumi("config", "set", "--secret", "key", f"\n{secret}")
    program.pulumi("config", "set", "certificate", f"\n{own.tls.certificate}")
    config = "pulumi.Config()"
    values = f'"certificate": {config}.require("certificate")'
    typed(program, f'{{{values}, "private_key": {config}.require_secret("key")}}')
    said = program.pulumi("preview", "--diff") + program.up()
    assert status(program.output(), own.trusted) == 200
    line = secret.splitlines()[1]
    for text in (said, program.held("dev")):
        assert line not in text
