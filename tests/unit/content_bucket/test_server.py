"""The server of a content pod whose archives lie in a bucket."""

import threading
from http.client import HTTPConnection

import pytest
from tests.unit.content_bucket.buckets import BYTES, DIGEST, objects

from inference_provider.targets.kubernetes.content_folder import ContentFolder
from inference_provider.targets.kubernetes.content_server import Server


@pytest.fixture
def ask(bucket, tmp_path):
    (tmp_path / "served").mkdir()
    with Server(tmp_path / "served", "127.0.0.1", 0, "token", bucket) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        connection = HTTPConnection("127.0.0.1", server.server_port, timeout=30)

        def send(method, path, body=None, token="token"):
            connection.request(method, path, body, {"X-Inference-Pass": token})
            answer = connection.getresponse()
            return answer.status, answer.read()

        yield send
        connection.close()
        server.shutdown()
        thread.join()


def test_a_server_keeps_archives_in_the_bucket_and_says_whether_it_can(ask, place):
    assert ask("GET", "/bucket") == (200, b"ok\n")
    assert ask("GET", "/bucket", token="") == (
        403,
        b"only a client of this workspace may do that\n",
    )
    assert ask("PUT", f"/assets/{DIGEST}", BYTES) == (201, b"kept\n")
    assert ask("HEAD", f"/assets/{DIGEST}")[0] == 200
    assert ask("GET", f"/assets/{DIGEST}", token="") == (200, BYTES)
    assert objects(place) == [f"assets/{DIGEST}", "workspace.json"]
    assert ask("DELETE", "/bucket", token="")[0] == 403
    assert ask("DELETE", "/bucket") == (200, b"ok\n")
    assert objects(place) == []


def test_a_server_says_why_its_bucket_cannot_be_used_and_answers_that_it_lives(ask, bucket):
    def away(_url):
        raise OSError("Connection refused")

    bucket._open = away
    said = (
        f"the content pod cannot read from {bucket.url}: Connection refused\n"
        "check that the cluster reaches it, then run this again\n"
    )
    assert ask("GET", "/bucket") == (424, said.encode())
    assert ask("PUT", f"/assets/{DIGEST}", BYTES) == (424, said.encode())
    assert ask("GET", "/healthz") == (200, b"ok\n")


def test_a_server_without_a_bucket_has_nothing_of_it_to_say(tmp_path):
    folder = ContentFolder(tmp_path)
    folder.receive(DIGEST, [BYTES])
    folder.check()
    folder.clear()
    assert folder.size(DIGEST) == 25_600_000


def test_a_full_bucket_is_no_fault_of_the_credentials(ask, bucket, monkeypatch):
    def full(*_given, **_more):
        raise OSError("XMinioStorageFull: Storage backend has reached its minimum free space")

    assert ask("GET", "/bucket")[0] == 200
    monkeypatch.setattr(bucket._system()[0], "open", full)
    status, said = ask("PUT", f"/assets/{DIGEST}", BYTES)
    assert (status, said) == (
        507,
        f"{bucket.url} takes nothing more: XMinioStorageFull: Storage backend has reached its"
        " minimum free space\n".encode(),
    )
