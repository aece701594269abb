"""What a registry has, asked without a container engine."""

import base64
import json

import httpx
import pytest
from pydantic import SecretStr
from tests.docker.registry import Registry

from inference_provider.errors import SecretStoreUnreachable
from inference_provider.targets.manifests import digest_in
from inference_provider.targets.sign_in import signed_in
from inference_provider.workspace.registry_login import Login

IMAGE = "r.example.org:5000/team/scorer:1-amd64"
DIGEST = "sha256:7"


@pytest.fixture(autouse=True)
def login(tmp_path, monkeypatch):
    """Have Docker's configuration in a folder; write who is known to a registry."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    def login(host="r.example.org:5000"):
        auth = base64.b64encode(b"ann:hunter2").decode()
        (tmp_path / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))

    (tmp_path / "config.json").write_text("{}")
    return login


class Answers:
    """A registry that gives tokens for credentials."""

    def __init__(self, challenge, *, realm_host="auth.example.org"):
        self.challenge, self.realm_host = challenge, realm_host
        self.asked = []

    def __call__(self, asked):
        self.asked.append((str(asked.url), asked.headers.get("authorization", "")))
        if asked.url.host == self.realm_host:
            known = asked.headers.get("authorization", "").startswith("Basic ")
            return httpx.Response(200 if known else 401, json={"token": "t0"})
        if asked.headers.get("authorization", "") not in ("Bearer t0", ANN):
            return httpx.Response(401, headers={"www-authenticate": self.challenge})
        return httpx.Response(200, headers={"docker-content-digest": DIGEST})


ANN = f"Basic {base64.b64encode(b'ann:hunter2').decode()}"
BEARER = 'Bearer realm="https://auth.example.org/token",service="r.example.org"'
MANIFEST = "https://r.example.org:5000/v2/team/scorer/manifests/1-amd64"


def ask(answers, image=IMAGE):
    return digest_in(image, httpx.MockTransport(answers))


def test_a_digest_is_what_a_registry_says_of_a_name():
    found = httpx.Response(200, headers={"docker-content-digest": DIGEST})
    assert ask(lambda _asked: found) == DIGEST


@pytest.mark.parametrize(("status", "digest"), [(404, ""), (500, None), (403, None)])
def test_only_what_a_registry_says_not_to_have_is_not_there(status, digest):
    assert ask(lambda _asked: httpx.Response(status)) == digest


def test_a_registry_that_does_not_answer_says_nothing():
    def broken(_asked):
        raise httpx.ConnectError("refused")

    assert ask(broken) is None


def test_a_token_is_got_by_the_credentials_of_dockers_configuration(login):
    login()
    answers = Answers(BEARER)
    assert ask(answers) == DIGEST
    scope = "service=r.example.org&scope=repository%3Ateam%2Fscorer%3Apull"
    assert answers.asked == [
        (MANIFEST, ""),
        (f"https://auth.example.org/token?{scope}", ANN),
        (MANIFEST, "Bearer t0"),
    ]


def test_credentials_are_given_as_such_where_a_registry_asks_for_them(login):
    login()
    assert ask(Answers('Basic realm="r"')) == DIGEST


def test_who_has_not_logged_in_is_not_told():
    assert ask(Answers('Basic realm="r"')) is None
    assert ask(Answers(BEARER)) is None


def test_credentials_are_sent_to_no_realm_in_clear(login):
    login()
    answers = Answers(BEARER.replace("https", "http"))
    assert ask(answers) is None
    assert [authorization for _, authorization in answers.asked] == [""]


def test_images_without_a_host_are_of_docker_hub():
    asked = []

    def answer(request):
        asked.append(str(request.url))
        return httpx.Response(404)

    assert ask(answer, "team/scorer:1") == ""
    assert asked == ["https://registry-1.docker.io/v2/team/scorer/manifests/1"]


def test_a_registry_of_this_machine_is_asked_without_tls(login):
    with Registry("ann", "hunter2") as registry:
        kind = "application/vnd.oci.image.manifest.v1+json"
        registry.manifests["team/scorer:1"] = (kind, b"{}")
        assert digest_in(f"{registry.host}/team/scorer:1") is None
        login(registry.host)
        found = digest_in(f"{registry.host}/team/scorer:1")
        assert found == "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        assert digest_in(f"{registry.host}/team/scorer:2") == ""


def test_a_user_whom_a_connection_names_comes_before_dockers_configuration(login):
    login()
    answers = Answers('Basic realm="x"')
    with signed_in(lambda _image: Login("r.example.org:5000", "bob", SecretStr("s"))):
        assert ask(answers) is None
    bob = base64.b64encode(b"bob:s").decode()
    assert answers.asked[-1] == (MANIFEST, f"Basic {bob}")
    with signed_in(lambda _image: None):
        assert ask(answers) == DIGEST


def test_a_secret_store_that_does_not_say_as_whom_is_told(login):
    def silent(_image):
        raise SecretStoreUnreachable("read", "Connection 'lab/hub'", "it is silent")

    with signed_in(silent), pytest.raises(SecretStoreUnreachable):
        ask(Answers('Basic realm="x"'))
