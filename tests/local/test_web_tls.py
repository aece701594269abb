"""The workspace service with TLS, and with tokens of a real identity provider."""

import json
import socket
import ssl

import httpx
import pytest

from inference_provider.observed import Kind
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.records import FileRecords
from inference_provider.workspace.state import ROUTER, TLS
from tests.local.conftest import ACTOR
from tests.local.server.certificates import caller_of, generated, shown, trusting
from tests.local.server.model import until
from tests.local.test_web import CALLS, GIVES_TOKENS, PORT, ask, bearer, of_workspace
from tests.oidc_server import provider
from tests.ports import own_port

pytestmark = pytest.mark.local
URL = f"https://127.0.0.1:{PORT}"


@pytest.fixture
def space(lab):
    """The workspace of a lab that has an endpoint of tokens, and no deployment."""
    for name in ("deployments", "traffic", "environments"):
        del lab.document[name]
    lab.document["endpoints"][0]["auth_mode"] = "aml_token"
    lab.document["role_assignments"] = [CALLS]
    found = lab.document["workspaces"][0]
    found |= {"service": {"port": PORT}, "roles": {"Caller": {"actions": [GIVES_TOKENS]}}}
    return found


def test_it_speaks_https_alone_with_the_certificate_of_the_workspace(lab, space):
    space["tls"] = {"generate": True, "minimum_version": "1.3"}
    space["service"]["bind_address"] = "0.0.0.0"
    lab.up()
    # it was started once, though before the workspace was recorded, and answers when `up` ends
    with socket.create_connection(("127.0.0.1", PORT)):
        pass
    assert "the workspace does not" not in (
        (lab.state / "workspaces/lab/logs/web/web.log").read_text()
    )
    trusted = lab.observe(Kind.WORKSPACE, "lab").outputs["ca_certificate"]
    context, mine = ssl.create_default_context(cadata=trusted), of_workspace(lab)
    path = f"{URL}/endpoints/iris/token"
    assert httpx.post(path, headers=bearer(mine), verify=context).status_code == 200
    with pytest.raises(httpx.TransportError):
        httpx.post(path.replace("https", "http"), headers=bearer(mine))
    with pytest.raises(httpx.ConnectError):
        httpx.post(path, headers=bearer(mine))  # nobody else trusts that authority
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(httpx.ConnectError):
        httpx.post(path, headers=bearer(mine), verify=context)
    assert lab.observe(Kind.WORKSPACE, "lab").status == (
        f"router ready; service on https://0.0.0.0:{PORT}"
    )
    del space["tls"], space["service"]["bind_address"]
    lab.up()
    assert ask(mine).status_code == 200


def test_another_certificate_is_shown_without_the_end_of_a_connection(lab, space):
    own = generated()
    other = generated(own, names=["b.example.org"])

    def declare(kept) -> None:
        (lab.folder / "server.pem").write_text(kept.tls.certificate)
        (lab.folder / "server.key").write_text(kept.tls.private_key.get_secret_value())
        space["tls"] = {"certificate": "${file:server.pem}", "private_key": "${file:server.key}"}
        lab.up()

    def found_by(name: str) -> int:
        headers = {"host": f"{name}:{PORT}"}
        return httpx.get(URL, headers=headers, verify=context).status_code

    space["service"]["console"] = True
    declare(own)
    mine, context = of_workspace(lab), trusting(own)
    place = ("127.0.0.1", PORT)
    first = shown(place, context)
    assert [found_by("127.0.0.1"), found_by("b.example.org")] == [401, 421]
    pid = lab.supervisor.processes()["web"].pid
    with httpx.Client(verify=context, headers=bearer(mine)) as client:
        assert client.post(f"{URL}/endpoints/iris/token").status_code == 200
        declare(other)
        until(lambda: shown(place, context) != first)
        assert client.post(f"{URL}/endpoints/iris/token").status_code == 200
        assert [found_by("127.0.0.1"), found_by("b.example.org")] == [401, 401]
        records = FileRecords(Folders(lab.state, "lab"))
        found = json.loads(records.read(TLS, ROUTER))
        put(records, {**found, "tls": {**found["tls"], "private_key": "x"}})
        told = "the certificate of the workspace cannot be shown, and the one before stays"
        until(lambda: told in lab.observe(Kind.WORKSPACE, "lab").status)
        assert client.post(f"{URL}/endpoints/iris/token").status_code == 200
        put(records, found)
        until(lambda: told not in lab.observe(Kind.WORKSPACE, "lab").status)
    assert lab.supervisor.processes()["web"].pid == pid


def test_a_caller_shows_a_certificate_where_an_authority_of_callers_is_named(lab, space):
    known, other = generated(), generated()
    space["tls"] = {"generate": True, "client_ca": known.trusted}
    lab.up()
    trusted, mine = lab.observe(Kind.WORKSPACE, "lab").outputs["ca_certificate"], of_workspace(lab)

    def answered(kept) -> int:
        context = ssl.create_default_context(cadata=trusted)
        if kept:
            context.load_cert_chain(caller_of(kept, lab.folder / "caller.pem"))
        try:
            path = f"{URL}/endpoints/iris/token"
            return httpx.post(path, headers=bearer(mine), verify=context).status_code
        except httpx.TransportError:
            return 0

    assert [answered(one) for one in (known, other, None)] == [200, 0, 0]
    space["tls"] = {"generate": True, "client_ca": other.trusted}
    lab.up()
    until(lambda: answered(other) == 200)
    assert answered(known) == 0


def test_a_user_of_the_identity_provider_gets_tokens_also_while_it_is_away(lab, space):
    with provider(own_port()) as login:
        space["identity_provider"] = {
            "issuer": login.issuer,
            "audience": "lab",
            "jwks_uri": login.jwks_uri,
            "jwks_refresh_s": 1,
        }
        lab.document["role_assignments"] = [
            CALLS,
            {**CALLS, "name": "ops", "principal": "ops", "principal_type": "group"},
        ]
        lab.up()
        ben, eve = login.token("ben", audience="lab"), login.token("eve", audience="lab")
        until(lambda: ask(ben).status_code == 200)
        assert ask(eve).status_code == 403
        assert ask(login.token("eve", audience="lab", groups=["ops"])).status_code == 200
        assert ask(login.token("ben", audience="other")).status_code == 401
        login.stop()
        lab.target.stop("lab", ACTOR)
        lab.target.start("lab", ACTOR)
        until(lambda: _answers_with(ben, 200))
        fault = f"keys cannot be fetched from {login.jwks_uri}: "
        until(lambda: fault in lab.observe(Kind.WORKSPACE, "lab").status)
        login.start()  # with other keys
        fresh = login.token("ben", audience="lab")
        until(lambda: _answers_with(fresh, 200), 30)
        assert ask(ben).status_code == 401
        assert fault not in lab.observe(Kind.WORKSPACE, "lab").status


def put(records: FileRecords, document) -> None:
    with records.edit():
        records.put(TLS, ROUTER, json.dumps(document))


def _answers_with(token: str, status: int) -> bool:
    try:
        return ask(token).status_code == status
    except httpx.TransportError:
        return False
