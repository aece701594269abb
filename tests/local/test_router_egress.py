"""Where a router lets instances out that have no other way: every way past the rules is tried."""

import contextlib
import http.client
import http.server
import itertools
import socket
import threading
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from inference_provider.router.status import WARMING
from inference_provider.router.table import OutboundEntry, Proxy
from inference_provider.targets.envoy.refused import ACCESS_LOG, refused_calls
from tests.local.server.model import Model, until
from tests.local.server.names import name_server, silent_name_server
from tests.local.server.outside import Outside
from tests.local.server.routing import Served, deployment, endpoint, serving
from tests.ports import own_port

pytestmark = pytest.mark.envoy


def own_address() -> str:
    """Return an address of this machine that is not loopback's."""
    found = itertools.chain(*psutil.net_if_addrs().values())
    addresses = (one.address for one in found if one.family == socket.AF_INET)
    return next((one for one in addresses if not one.startswith("127.")), "")


OWN = own_address()
needs_a_network = pytest.mark.skipif(not OWN, reason="this machine has loopback alone")


@pytest.fixture
def outside() -> Iterator[int]:
    """The port of a server on all addresses of this machine."""
    with http.server.ThreadingHTTPServer(("0.0.0.0", 0), Outside) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join(10)


@pytest.fixture
def names() -> dict[str, tuple[str, ...]]:
    return {"a.example": (OWN,), "x.wild.example": (OWN,), "evil.example": (OWN,)}


@pytest.fixture
def asked(names: dict[str, tuple[str, ...]]) -> Iterator[str]:
    with name_server(names) as address:
        yield address


def rule(destination: str, *ports: int, private: bool = True) -> OutboundEntry:
    return OutboundEntry(destination=destination, ports=ports, private=private)


def proxy_at(name_server: str, *clients: str) -> dict[str, Any]:
    proxy = Proxy(host="127.0.0.1", port=own_port(), clients=clients)
    return {"proxy": proxy, "name_server": name_server}


def port_of(served: Served) -> int:
    port: int = served.values["proxy"].port
    return port


def tunnel(served: Served, authority: str, version: str = "1.1", host: str = "any") -> int:
    """Return the status of a tunnel to an authority; 200 means that a request went through it."""
    about = f"host: {host}\r\n" if host else ""
    with socket.create_connection(("127.0.0.1", port_of(served)), 10) as opened:
        opened.sendall(f"CONNECT {authority} HTTP/{version}\r\n{about}\r\n".encode())
        status = int(opened.recv(4096).split()[1])
        if status == 200:
            opened.sendall(b"GET /through HTTP/1.1\r\nhost: any\r\nconnection: close\r\n\r\n")
            answer = b"".join(iter(lambda: opened.recv(4096), b""))
            assert b"/through" in answer
        return status


def request(served: Served, authority: str, host: str = "") -> tuple[int, str]:
    """Return status and body of a request of plain HTTP to an authority."""
    connection = http.client.HTTPConnection("127.0.0.1", port_of(served), timeout=10)
    headers = {"host": host} if host else {}
    connection.request("GET", f"http://{authority}/page", headers=headers)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


@needs_a_network
def test_what_a_rule_names_is_reached_by_tunnel_and_by_request(asked: str, outside: int):
    rules = (rule("a.example", outside), rule("*.wild.example", outside))
    with serving(outbound=rules, **proxy_at(asked)) as served:
        for name in ("a.example", "A.Example", "x.wild.example"):
            assert tunnel(served, f"{name}:{outside}") == 200
            assert request(served, f"{name}:{outside}")[0] == 200


@needs_a_network
@pytest.mark.parametrize(("name", "status"), [("a.example", 200), ("evil.example", 403)])
def test_a_tunnel_may_be_asked_for_as_python_311_does(
    asked: str, outside: int, name: str, status: int
):
    with serving(outbound=(rule("a.example", outside),), **proxy_at(asked)) as served:
        assert tunnel(served, f"{name}:{outside}", version="1.0", host="") == status
        other = f"a.example:{outside}"
        assert tunnel(served, f"{name}:{outside}", version="1.0", host=other) == status


@needs_a_network
def test_a_server_outside_learns_nothing_of_who_asked(asked: str, outside: int):
    with serving(outbound=(rule("a.example", outside),), **proxy_at(asked)) as served:
        status, body = request(served, f"a.example:{outside}")
        path, *headers = body.split("\n")
        sent = {line.partition(":")[0].lower() for line in headers if line}
        assert (status, path, sent) == (200, "/page", {"host", "accept-encoding"})


@needs_a_network
@pytest.mark.parametrize(
    "authority",
    [
        pytest.param("evil.example:PORT", id="another name"),
        pytest.param("wild.example:PORT", id="the wildcard's own name"),
        pytest.param("a.example:81", id="another port"),
        pytest.param("a.example", id="no port"),
        pytest.param("a.example.:PORT", id="a name with a dot at its end"),
        pytest.param("a.example:PORT.evil.example", id="a name behind the port"),
        pytest.param("evil.example#a.example:PORT", id="a name behind a fragment"),
        pytest.param(f"{OWN}:PORT", id="an address"),
        pytest.param("127.0.0.1:PORT", id="loopback"),
        *("2130706433:PORT", "0x7f.1:PORT"),  # loopback as a number
        pytest.param("[::1]:PORT", id="loopback of IPv6"),
        pytest.param("[::ffff:127.0.0.1]:PORT", id="loopback as IPv6"),
        pytest.param("169.254.169.254:80", id="metadata of a cloud"),
        pytest.param("localhost:PORT", id="localhost"),
    ],
)
def test_what_no_rule_names_is_refused(asked: str, outside: int, authority: str):
    rules = (rule("a.example", outside), rule("*.wild.example", outside))
    authority = authority.replace("PORT", str(outside))
    with serving(outbound=rules, **proxy_at(asked)) as served:
        assert tunnel(served, authority) in {400, 403}
        assert request(served, authority)[0] in {400, 403}


@needs_a_network
def test_the_url_counts_and_not_the_host_header_beside_it(asked: str, outside: int):
    with serving(outbound=(rule("a.example", outside),), **proxy_at(asked)) as served:
        listed, other = f"a.example:{outside}", f"evil.example:{outside}"
        assert request(served, other, host=listed)[0] == 403
        status, body = request(served, listed, host=other)
        assert (status, other in body) == (200, False)


@needs_a_network
@pytest.mark.parametrize(
    ("address", "private", "status"),
    [
        pytest.param("127.0.0.1", False, 403, id="loopback"),
        pytest.param("127.0.0.1", True, 403, id="loopback, also where private ones may be"),
        pytest.param("169.254.169.254", True, 403, id="metadata of a cloud"),
        pytest.param("168.63.129.16", True, 403, id="metadata of Azure"),
        pytest.param("100.100.100.200", True, 403, id="metadata of Alibaba"),
        pytest.param("192.0.0.192", True, 403, id="metadata of Oracle"),
        pytest.param("fd00:ec2::254", True, 403, id="metadata of Amazon, by IPv6"),
        pytest.param("fd20:ce::254", True, 403, id="metadata of Google, by IPv6"),
        pytest.param("0.0.0.0", True, 403, id="the machine itself"),
        pytest.param("10.0.0.1", False, 403, id="a private network"),
        pytest.param("100.100.100.200", False, 403, id="a carrier's network"),
        pytest.param(OWN, True, 200, id="a private network that a rule allows"),
    ],
)
def test_a_listed_name_must_stand_for_an_address_that_may_be_reached(  # noqa: PLR0917
    asked: str,
    outside: int,
    names: dict[str, tuple[str, ...]],
    address: str,
    private: bool,
    status: int,
):
    names["a.example"] = (address,)
    rules = (rule("a.example", outside, private=private),)
    with serving(outbound=rules, **proxy_at(asked)) as served:
        assert tunnel(served, f"a.example:{outside}") == status
        assert request(served, f"a.example:{outside}")[0] == status


@needs_a_network
def test_no_address_beside_one_that_may_be_reached_is_tried(
    asked: str, outside: int, names: dict[str, tuple[str, ...]]
):
    names["a.example"] = (OWN, "127.0.0.1", "127.0.0.2")
    with serving(outbound=(rule("a.example", outside),), **proxy_at(asked)) as served:
        statuses = [tunnel(served, f"a.example:{outside}") for _ in range(9)]
        assert sorted(set(statuses)) == [200, 403]  # each address in turn
        names["a.example"] = ("127.0.0.1",)  # from now on
        until(lambda: {tunnel(served, f"a.example:{outside}") for _ in range(3)} == {403})


@needs_a_network
def test_another_list_is_in_force_for_open_connections_when_it_is_published(
    asked: str, outside: int
):
    listed = (rule("a.example", outside),)
    with serving(outbound=listed, **proxy_at(asked)) as served:
        connection = http.client.HTTPConnection("127.0.0.1", port_of(served), timeout=10)

        def status(name: str) -> int:
            connection.request("GET", f"http://{name}:{outside}/")
            answer = connection.getresponse()
            answer.read()
            return answer.status

        assert (status("a.example"), status("x.wild.example")) == (200, 403)
        publish(served, rule("*.wild.example", outside))
        assert (status("a.example"), status("x.wild.example")) == (403, 200)
        publish(served)
        assert status("x.wild.example") in {403, 503}
        with pytest.raises(OSError, match="refused"):
            tunnel(served, f"a.example:{outside}")
        connection.close()
        publish(served, *listed)
        assert tunnel(served, f"a.example:{outside}") == 200


@needs_a_network
def test_names_that_were_asked_for_survive_a_change_of_endpoints(
    models: dict[str, Model], asked: str, outside: int
):
    """Envoy's file of clusters does not name those that it made for names."""
    with serving(outbound=(rule("a.example", outside),), **proxy_at(asked)) as served:
        assert tunnel(served, f"a.example:{outside}") == 200
        found = endpoint("chat", {"blue": 100}, deployment("blue", models["blue"]))
        for table in (served.table(found), served.table(), served.table(found)):
            served.router.publish(table)
            assert tunnel(served, f"a.example:{outside}") == 200
        served.restart()
        assert tunnel(served, f"a.example:{outside}") == 200


@needs_a_network
@pytest.mark.parametrize(
    ("name", "addresses", "status", "said", "details"),
    [
        (
            "a.example",
            ("10.0.0.1",),
            403,
            "the name stands for a private address; `allow_private_addresses: true` of its rule"
            " lets that through\n",
            "rbac_access_denied_matched_policy[private]",
        ),
        (
            "a.example",
            ("169.254.169.254",),
            403,
            "the name stands for an address that no rule lets through: of loopback, of a cloud's"
            " metadata, or of many at once\n",
            "rbac_access_denied_matched_policy[never]",
        ),
        (
            "a.example",
            (),
            503,
            "no address is known for the name: the router's name server has none, or does not"
            " answer\n",
            "no_healthy_upstream",
        ),
        (
            "evil.example",
            (OWN,),
            403,
            "this name and port are in no outbound rule of the workspace",
            "direct_response",
        ),
    ],
)
def test_a_request_that_gets_nowhere_is_told_why_and_logged(  # noqa: PLR0917
    asked: str,
    names: dict[str, tuple[str, ...]],
    name: str,
    addresses: tuple[str, ...],
    status: int,
    said: str,
    details: str,
):
    names[name] = addresses
    with serving(outbound=(rule("a.example", 80, private=False),), **proxy_at(asked)) as served:
        assert request(served, f"{name}:80") == (status, said)
        [line] = [one for one in served.logged() if one.get("outbound")]
        kept = ("instance", "method", "outbound", "status", "details")
        assert [line[one] for one in kept] == ["127.0.0.1", "GET", f"{name}:80", status, details]
        assert refused_calls(served.folder / ACCESS_LOG) == ()


@needs_a_network
def test_an_address_that_nobody_listens_on_is_told(asked: str):
    free = own_port()
    with serving(outbound=(rule("a.example", free),), **proxy_at(asked)) as served:
        status, said = request(served, f"a.example:{free}")
        assert (status, said.partition(",")[0]) == (503, "an address of the name was found")


@needs_a_network
def test_a_thousand_invented_names_leave_room_for_a_listed_one(asked: str, outside: int):
    rules = (rule("*.wild.example", 80), rule("a.example", outside))
    with serving(outbound=rules, **proxy_at(asked)) as served:
        assert {tunnel(served, f"n{n}.wild.example:80") for n in range(1050)} == {503}
        assert tunnel(served, f"a.example:{outside}") == 200


@contextlib.contextmanager
def asking_for_names(served: Served) -> Iterator[None]:
    """Ask for another name each quarter of a second, and wait for no answer."""
    over = threading.Event()

    def ask() -> None:
        with contextlib.ExitStack() as opened:
            for n in itertools.count():
                one = socket.create_connection(("127.0.0.1", port_of(served)), 10)
                opened.enter_context(one)
                one.sendall(f"CONNECT n{n}.wild.example:80 HTTP/1.1\r\nhost: any\r\n\r\n".encode())
                if over.wait(0.25):
                    return

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        until(lambda: served.router.admin.stats(f"^{WARMING}$")[WARMING] > 0)
        yield
    finally:
        over.set()
        thread.join(10)


def test_a_name_server_that_does_not_answer_holds_no_publication_up(models: dict[str, Model]):
    rules = (rule("*.wild.example", 80),)
    with (
        silent_name_server() as silent,
        serving(outbound=rules, **proxy_at(silent)) as served,
        asking_for_names(served),
    ):
        found = endpoint("chat", {"blue": 100}, deployment("blue", models["blue"]))
        served.router.publish(served.table(found))
        assert served.ask("chat/score").status_code == 200


def publish(served: Served, *rules: OutboundEntry) -> None:
    served.values["outbound"] = rules
    served.router.publish(served.table())


def is_cut_off(served: Served) -> bool:
    with socket.create_connection(("127.0.0.1", port_of(served)), 10) as opened:
        try:
            opened.sendall(b"CONNECT a.example:80 HTTP/1.1\r\nhost: a.example:80\r\n\r\n")
            return opened.recv(100) == b""
        except ConnectionError:
            return True


@needs_a_network
def test_who_is_no_instance_is_cut_off(asked: str, outside: int):
    listed, others = (rule("a.example", outside),), proxy_at(asked, "10.255.0.0/16")
    with serving(outbound=listed, **others) as served:
        assert is_cut_off(served)
        ours = {"clients": ("10.255.0.0/16", "127.0.0.1")}
        served.values["proxy"] = others["proxy"].model_copy(update=ours)
        served.router.publish(served.table())
        assert tunnel(served, f"a.example:{outside}") == 200


def test_callers_of_endpoints_get_nowhere_by_the_router(outside: int):
    asked = f"CONNECT a.example:{outside} HTTP/1.1\r\nhost: a.example\r\n\r\n"
    with serving() as served:
        assert served.raw(asked).split()[1] == "401"
