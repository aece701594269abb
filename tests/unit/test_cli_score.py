"""inferctl score: where a request goes, with which key, and what is said of the answer."""

import http.server
import json
import shutil
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager

import httpx
import pytest
from tests.unit.conftest import ServedTarget

from inference_provider.cli import score
from inference_provider.spec.target import DockerPlace
from inference_provider.targets.docker.target import DockerTarget
from inference_provider.workspace.ports import Way


def router(asked, status=200):
    def answer(request):
        asked.append(request)
        headers = {"x-request-id": "r-1", "azureml-model-deployment": "green"}
        return httpx.Response(status, json={"class": 2}, headers=headers)

    return httpx.MockTransport(answer)


def test_score_sends_file_with_key_and_pin_and_prints_the_body(served, tmp_path):
    data = tmp_path / "request.json"
    data.write_text('{"data": [1]}')
    asked: list[httpx.Request] = []
    result = served(
        "score", "iris", "--data", data, "--deployment", "green", transport=router(asked)
    )
    assert (result.exit_code, result.stdout) == (0, '{"class":2}\n')
    key = json.loads(served("keys", "show", "iris", "--json").stdout)["primary_key"]
    assert asked[0].headers["authorization"] == f"Bearer {key}"
    assert asked[0].headers["azureml-model-deployment"] == "green"
    assert asked[0].content == b'{"data": [1]}'


def test_score_of_an_endpoint_whose_keys_are_gone_says_what_makes_new_ones(served):
    served.target.platform.ports("default").records.drop("keys", "iris")
    result = served("score", "iris", said="[1]", transport=router([]))
    assert result.stderr.endswith("its keys are gone; run `inferctl up`\n")


class Elsewhere(ServedTarget):
    """A target whose router is reached as that of a Docker host is."""

    def way_to(self, workspace, url):
        return DockerTarget(DockerPlace(kind="docker", host="tcp://gpu-1:2376")).way_to(
            workspace, url
        )


def test_score_sends_no_key_to_this_machine_when_the_router_is_on_another(cli):
    cli.target = Elsewhere()
    cli("up")
    asked: list[httpx.Request] = []
    result = cli("score", "iris", said="[1]", transport=router(asked))
    assert (result.exit_code, asked) == (1, [])
    assert result.stderr == (
        "error: reach the router on http://127.0.0.1:1/endpoints/iris/score: it takes requests of"
        " gpu-1 alone; run this there, name the host in `target` as ssh://gpu-1, or set the"
        " workspace's bind_address to 0.0.0.0 or an address of that host\n"
    )


class BySocket(ServedTarget):
    """A target whose router is reached by a socket of this machine."""

    path = ""

    @contextmanager
    def way_to(self, workspace, url):
        assert url == self.uri
        yield Way(self.path, lambda: "connect failed: Connection refused")


@pytest.fixture
def by_socket(cli):
    """Ask an endpoint by a socket on which a handler answers."""
    cli.target = BySocket()
    cli("up")

    def ask(handler):
        with tempfile.TemporaryDirectory() as folder:  # a short path
            cli.target.path = f"{folder}/sock"
            with socketserver.ThreadingUnixStreamServer(cli.target.path, handler) as server:
                threading.Thread(target=server.serve_forever, daemon=True).start()
                result = cli("score", "iris", said="[1]")
                server.shutdown()
        return result

    return ask


def test_score_goes_by_the_socket_that_leads_to_the_router(by_socket):
    result = by_socket(Answers)
    assert (result.exit_code, result.stdout) == (0, "iris by 127.0.0.1:1\n")


def test_score_of_a_public_url_speaks_no_tls_to_a_socket_that_leads_past_it(by_socket, cli):
    cli.target.uri = "https://score.example.org/endpoints/iris/score"
    result = by_socket(Answers)
    assert (result.exit_code, result.stdout) == (0, "iris by score.example.org\n")


def test_score_says_why_a_socket_leads_to_no_router(by_socket):
    assert by_socket(socketserver.BaseRequestHandler).stderr == (
        "error: score Endpoint 'default/iris': the router did not answer (connect failed:"
        " Connection refused); run `inferctl start`\n"
    )


@pytest.fixture
def by_tls(cli, tmp_path):
    """Ask an endpoint whose URL is that of a server with a certificate that nobody knows."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    made = "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -subj /CN=lab"
    named = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        ["openssl", *made.split(), *named], cwd=tmp_path, check=True, capture_output=True
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        cli.target = ServedTarget()
        cli.target.uri = f"https://127.0.0.1:{server.server_port}/endpoints/iris/score"
        cli("up")
        yield lambda: cli("score", "iris", said="[1]")
        server.shutdown()


def test_score_sends_no_key_to_a_public_url_whose_certificate_is_not_trusted(
    by_tls, tmp_path, monkeypatch
):
    refused = by_tls()
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.endswith(
        "/endpoints/iris/score is not trusted: self-signed certificate; correct it, or name the"
        " file of who signed it in $SSL_CERT_FILE\n"
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    assert by_tls().stdout.startswith("iris by 127.0.0.1:")


class Answers(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))  # else closing resets the client
        self.send_response(200)
        self.send_header("content-type", "text/plain")
        self.end_headers()
        self.wfile.write(f"{self.path.split('/')[2]} by {self.headers['host']}".encode())

    def address_string(self):
        return "-"

    def log_message(self, *given):
        pass


def test_score_reads_stdin_and_json_names_the_deployment(served):
    asked: list[httpx.Request] = []
    result = served("score", "iris", "--data", "-", "--json", said="[1]", transport=router(asked))
    assert json.loads(result.stdout) == {
        "status": 200, "deployment": "green", "request_id": "r-1", "body": {"class": 2},
    }  # fmt: skip
    assert asked[0].content == b"[1]"


def test_score_answered_by_an_error_exits_1_with_status_and_request_id(served):
    result = served("score", "iris", said="[1]", transport=router([], status=424))
    assert result.exit_code == 1
    assert "answered 424" in result.stderr
    assert "x-request-id r-1" in result.stderr
    key = json.loads(served("keys", "show", "iris", "--json").stdout)["primary_key"]
    assert key not in result.output


def test_score_writes_each_piece_of_the_answer_when_it_comes(served):
    seen = []

    def pieces():
        for piece in (b"data: 1\n\n", b"data: 2\n\n", b"data: [DONE]\n\n"):
            seen.append(sys.stdout.buffer.getvalue())  # type: ignore[union-attr]  # the runner's buffer
            yield piece

    def answer(_request):
        headers = {"content-type": "text/event-stream"}
        return httpx.Response(200, content=pieces(), headers=headers)

    result = served("score", "iris", said="{}", transport=httpx.MockTransport(answer))
    assert seen == [b"", b"data: 1\n\n", b"data: 1\n\ndata: 2\n\n"]
    assert result.stdout == "data: 1\n\ndata: 2\n\ndata: [DONE]\n\n"


def test_score_json_collects_a_streamed_answer_into_one_document(served):
    def answer(_request):
        return httpx.Response(200, content=iter([b'{"class"', b": 2}"]))

    result = served("score", "iris", "--json", said="{}", transport=httpx.MockTransport(answer))
    assert json.loads(result.stdout)["body"] == {"class": 2}


def test_score_adds_no_byte_to_an_answer_that_is_no_text(served):
    def answer(_request):
        return httpx.Response(200, content=b"\x89PNG", headers={"content-type": "image/png"})

    result = served("score", "iris", said="{}", transport=httpx.MockTransport(answer))
    assert result.stdout_bytes == b"\x89PNG"


def test_score_says_that_an_answer_broke_off(served):
    def pieces():
        yield b"data: 1\n\n"
        raise httpx.RemoteProtocolError("peer closed connection")

    def answer(_request):
        return httpx.Response(200, content=pieces())

    result = served("score", "iris", said="{}", transport=httpx.MockTransport(answer))
    assert (result.exit_code, result.stdout) == (1, "data: 1\n\n")
    assert "the response ended early (RemoteProtocolError)" in result.stderr


@pytest.mark.parametrize("name", ["grün", "a\tb"])
def test_score_pinned_to_what_no_header_can_hold_names_those_there_are(served, name):
    result = served("score", "iris", "--deployment", name, said="{}", transport=router([]))
    assert result.exit_code == 1
    assert "'default/iris': it has no deployment '" in result.stderr
    assert result.stderr.endswith("; it has blue, green\n")


def test_score_pinned_to_a_missing_deployment_names_those_there_are(served):
    result = served(
        "score", "iris", "--deployment", "red", said="{}", transport=router([], status=404)
    )
    assert result.exit_code == 1
    assert result.stderr == (
        "error: score Endpoint 'default/iris': it has no deployment 'red' (x-request-id r-1);"
        " it has blue, green\n"
    )


def test_score_of_an_endpoint_without_a_split_says_how_to_give_one(served):
    def answer(_request):
        return httpx.Response(404, json={"error": {"code": "NoTraffic"}})

    result = served("score", "iris", said="{}", transport=httpx.MockTransport(answer))
    assert "give one a share: `inferctl split iris blue=100`" in result.stderr


@pytest.mark.parametrize(
    ("status", "help_"),
    [
        (401, "run `inferctl up` to update them"),
        (408, "raise request_settings.request_timeout_ms"),
        (413, "send a smaller body"),
        (424, "`inferctl logs iris/green`"),
        (429, "raise instance_count or request_settings.max_concurrent_requests_per_instance"),
        (503, "`inferctl status` says which instances are ready"),
        (502, "see `inferctl logs iris/green`"),
    ],
)
def test_score_answered_by_an_error_points_to_what_helps(served, status, help_):
    result = served("score", "iris", said="{}", transport=router([], status=status))
    assert result.exit_code == 1
    assert help_ in result.stderr


class Refuses(Answers):
    def do_POST(self):
        self.send_error(403)


def ranged(cli, of_workspace: str, of_endpoint: str) -> None:
    named = {"target: memory": of_workspace, "name: iris": of_endpoint}
    stack = cli.STACK
    for name, ranges in named.items():
        stack = stack.replace(f"{name}}}", f"{name}, allowed_source_ranges: [{ranges}]}}")
    cli.file.write_text(stack)
    assert cli("up").exit_code == 0


@pytest.mark.parametrize(
    ("ranges", "told"),
    [
        (("10.0.0.0/8", ""), "in the allowed_source_ranges of the workspace"),
        (("", "10.0.0.0/8"), "in the allowed_source_ranges of the endpoint"),
        (("10.0.0.0/8", "10.1.0.0/16"), "the allowed_source_ranges of the endpoint and of its"),
        (("", ""), "see `inferctl logs iris/green`"),
    ],
)
def test_score_that_is_refused_says_which_ranges_count(cli, ranges, told):
    cli.target = ServedTarget()
    ranged(cli, *ranges)
    result = cli("score", "iris", said="[1]", transport=router([], status=403))
    assert told in result.stderr


def test_score_by_a_socket_says_from_which_address_it_comes(by_socket, cli):
    ranged(cli, "10.0.0.0/8, 127.0.0.0/8", "10.0.0.0/8")
    assert by_socket(Refuses).stderr.endswith(
        "inferctl comes to this router from 127.0.0.1: add that to the allowed_source_ranges of"
        " the endpoint, or call it from an address in them\n"
    )
    ranged(cli, "127.0.0.1", "127.0.0.1")
    assert by_socket(Refuses).stderr.endswith("see `inferctl logs iris/DEPLOYMENT`\n")


def test_score_of_a_folder_says_that_it_is_a_directory(served, tmp_path):
    result = served("score", "iris", "--data", tmp_path)
    assert result.exit_code == 1
    assert "Is a directory; name a file that can be read" in result.stderr


def test_score_without_a_body_asks_for_one_on_a_terminal(served):
    result = served("score", "iris", interactive=True)
    assert result.exit_code == 1
    assert "--data: missing" in result.stderr


def test_score_of_a_missing_endpoint_is_refused_in_a_sentence(served):
    result = served("score", "nobody", said="[1]")
    assert result.exit_code == 1
    assert "Endpoint 'default/nobody': not found" in result.stderr


@pytest.mark.timeout(20)
def test_score_of_a_device_without_an_end_is_refused_at_the_routers_limit(served):
    result = served("score", "iris", "--data", "/dev/zero")
    assert result.exit_code == 1
    assert "--data: '/dev/zero' is larger than 100 MiB; send a smaller body" in result.stderr


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (httpx.ReadError(""), "that no authority of tls.client_ca signed"),
        (httpx.RemoteProtocolError("closed"), "that no authority of tls.client_ca signed"),
        (httpx.ConnectError("[SSL: TLSV1_ALERT_UNKNOWN_CA]"), "tls.client_ca signed"),
        (httpx.ReadTimeout(""), "the router did not answer"),
        (httpx.ConnectError("refused"), "the router did not answer"),
    ],
)
def test_only_what_a_refused_certificate_looks_like_is_told_as_one(fault, said):
    reason, _ = score._silence(fault, "x", "https://a", score._Tls(asked=True, asks=True))
    assert said in reason
