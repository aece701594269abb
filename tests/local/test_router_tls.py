"""TLS of a running router: what it shows, whom it takes, and a change of it under load."""

import http.client
import pathlib
import socket
import ssl
import stat
import threading
import time
from collections import Counter

import httpx
import pytest

from inference_provider.errors import RouterRejected
from inference_provider.router.table import EndpointEntry, RouterTable
from tests.local.server.certificates import caller_of, generated, shown, trusting
from tests.local.server.model import Model, until
from tests.local.server.routing import KEY, Served, deployment, endpoint, serving

pytestmark = pytest.mark.envoy


def chat(models: dict[str, Model]) -> EndpointEntry:
    return endpoint("chat", {"blue": 100}, deployment("blue", models["blue"]))


def answers(served: Served, context: ssl.SSLContext) -> httpx.Response:
    with httpx.Client(verify=context, timeout=10) as client:
        url = f"https://127.0.0.1:{served.ports[0]}/endpoints/chat/score"
        until(lambda: client.get(url, headers=KEY).status_code == 200)
        return client.get(url, headers=KEY)


def with_tls(served: Served, models: dict[str, Model], tls: object) -> RouterTable:
    return served.table(chat(models)).model_copy(update={"tls": tls})


def test_a_router_with_a_certificate_is_verified_and_takes_no_plain_http(
    models: dict[str, Model],
):
    kept = generated()
    with serving(chat(models), tls=kept.tls) as served:
        assert answers(served, trusting(kept)).text
        url = f"http://127.0.0.1:{served.ports[0]}/endpoints/chat/score"
        with pytest.raises(httpx.HTTPError):
            httpx.get(url, headers=KEY)
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            httpx.get(url.replace("http", "https"), headers=KEY)


def test_both_versions_of_http_are_negotiated(models: dict[str, Model]):
    kept = generated()
    with serving(chat(models), tls=kept.tls) as served:
        for offered, chosen in ((["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1")):
            context = trusting(kept)
            context.set_alpn_protocols(offered)
            with (
                socket.create_connection(("127.0.0.1", served.ports[0]), 5) as plain,
                context.wrap_socket(plain, server_hostname="localhost") as secure,
            ):
                assert secure.selected_alpn_protocol() == chosen


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize(
    ("minimum", "spoken"),
    [("1.2", {"TLSv1.2", "TLSv1.3"}), ("1.3", {"TLSv1.3"})],
)
def test_no_older_version_than_the_minimum_is_spoken(
    models: dict[str, Model], minimum: str, spoken: set[str]
):
    kept = generated(minimum_version=minimum)
    with serving(chat(models), tls=kept.tls) as served:
        found = set()
        for version in (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = trusting(kept)
            context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, version
            context.set_ciphers("ALL:@SECLEVEL=0")
            try:
                with (
                    socket.create_connection(("127.0.0.1", served.ports[0]), 5) as plain,
                    context.wrap_socket(plain, server_hostname="localhost") as secure,
                ):
                    found.add(secure.version())
            except (ssl.SSLError, ConnectionError):
                pass
        assert found == spoken


def test_other_certificates_under_load_fail_no_request_and_close_no_connection(
    models: dict[str, Model],
):
    kept = generated()
    context = trusting(kept)
    with serving(chat(models), tls=kept.tls) as served:
        answers(served, context)
        found: Counter[object] = Counter()
        over = threading.Event()

        def ask(*, anew: bool) -> None:
            address = ("127.0.0.1", served.ports[0])
            connection = http.client.HTTPSConnection(*address, timeout=20, context=context)
            while not over.is_set():
                try:
                    connection.request("GET", "/endpoints/chat/sleep/0.01", headers=KEY)
                    answer = connection.getresponse()
                    answer.read()
                    found[answer.status] += 1
                    found["closed"] += not anew and connection.sock is None
                    if anew:
                        connection.close()
                except OSError as broken:
                    found[type(broken).__name__] += 1
                    connection.close()
            connection.close()

        threads = [threading.Thread(target=ask, kwargs={"anew": i % 2 == 0}) for i in range(4)]
        for thread in threads:
            thread.start()
        address = ("127.0.0.1", served.ports[0])
        seen = [shown(address, context)]
        for i in range(5):
            kept = generated(kept, names=[f"host-{i}.example.org"])
            served.router.publish(with_tls(served, models, kept.tls))
            seen.append(shown(address, context))
            time.sleep(0.1)
        over.set()
        for thread in threads:
            thread.join()
        print(dict(found))
        assert len(set(seen)) == 6
        assert {one for one in found if found[one]} == {200}
        assert found[200] > 50


def test_tls_comes_and_goes_on_a_running_router(models: dict[str, Model]):
    kept = generated()
    with serving(chat(models)) as served:
        until(lambda: served.ask("chat/score").status_code == 200)
        served.router.publish(with_tls(served, models, kept.tls))
        assert answers(served, trusting(kept)).status_code == 200
        served.router.publish(with_tls(served, models, None))
        url = f"http://127.0.0.1:{served.ports[0]}/endpoints/chat/score"
        until(lambda: httpx.get(url, headers=KEY).status_code == 200)
        assert [path for path in served.folder.rglob("sds.json*") if path.is_file()] == []


def test_a_caller_needs_a_certificate_of_the_authority_where_one_is_named(
    models: dict[str, Model], tmp_path: pathlib.Path
):
    known, other = generated(), generated()
    kept = generated(client_ca=known.trusted)
    with serving(chat(models), tls=kept.tls) as served:
        url = f"https://127.0.0.1:{served.ports[0]}/endpoints/chat/score"
        shows = trusting(kept, caller_of(known, tmp_path / "known.pem"))
        until(lambda: httpx.get(url, headers=KEY, verify=shows).status_code == 200)
        assert httpx.get(url, verify=shows).status_code == 401
        for context in (trusting(kept), trusting(kept, caller_of(other, tmp_path / "other.pem"))):
            with pytest.raises(httpx.HTTPError):
                httpx.get(url, headers=KEY, verify=context)


def test_a_key_of_another_certificate_is_refused_and_what_is_shown_stays(
    models: dict[str, Model],
):
    kept, other = generated(), generated()
    mixed = kept.tls.model_copy(update={"private_key": other.tls.private_key})
    with serving(chat(models), tls=kept.tls) as served:
        before = answers(served, trusting(kept)).status_code
        with pytest.raises(RouterRejected) as refused:
            served.router.publish(with_tls(served, models, mixed), timeout_s=5)
        said = str(refused.value)
        assert "PRIVATE" not in said
        assert other.tls.private_key.get_secret_value()[40:80] not in said
        assert (before, answers(served, trusting(kept)).status_code) == (200, 200)


def test_the_private_key_is_in_files_of_this_user_alone_and_in_no_dump_and_log(
    models: dict[str, Model],
):
    kept = generated()
    secret = kept.tls.private_key.get_secret_value().splitlines()[1]
    with serving(chat(models), tls=kept.tls) as served:
        answers(served, trusting(kept))
        served.router.publish(with_tls(served, models, generated(kept, names=["a.b"]).tls))
        served.router.publish(with_tls(served, models, kept.tls))
        holding = [
            path
            for path in served.folder.rglob("*")
            if path.is_file() and secret in path.read_text()
        ]
        assert sorted(path.name for path in holding) == ["sds.json", "table.json"]
        assert {stat.S_IMODE(path.stat().st_mode) for path in holding} == {0o600}
        assert secret not in served.router.admin.get("/config_dump").text
        assert secret not in served.router.admin.get("/certs").text
        assert secret not in (served.folder / "log").read_text()


def test_a_router_that_starts_again_shows_what_it_showed(models: dict[str, Model]):
    kept = generated()
    address = ("127.0.0.1", 0)
    with serving(chat(models), tls=kept.tls) as served:
        address = ("127.0.0.1", served.ports[0])
        before = shown(address, trusting(kept))
        served.restart()
        until(lambda: answers(served, trusting(kept)).status_code == 200)
        assert shown(address, trusting(kept)) == before


def test_tls_whose_removal_fails_half_way_is_still_spoken(models: dict[str, Model]):
    kept = generated()
    with serving(chat(models), tls=kept.tls) as served:
        assert answers(served, trusting(kept)).status_code == 200
        bad = endpoint("chat", {"blue": 100}, deployment("blue", models["blue"], timeout_ms=-5))
        plain = served.table(bad).model_copy(update={"tls": None})
        with pytest.raises(RouterRejected):
            served.router.publish(plain, timeout_s=5)
        assert answers(served, trusting(kept)).status_code == 200
