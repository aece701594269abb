"""By which names browsers find the console of the service, and the cookie that they keep."""

from tests.local.server.certificates import generated
from tests.unit.test_web_pages import PORT, READS, SITE, Desk, post, sign_in

from inference_provider.router.table import Tls
from inference_provider.web.site import site_of


def test_names_of_the_site_are_those_of_loopback_the_address_and_the_certificate():
    tls = generated(names=["gpu-1.example.org", "*.example.org"]).tls
    assert isinstance(tls, Tls)
    site = site_of("0.0.0.0", 443, tls)
    assert (
        site.scheme,
        "gpu-1.example.org:443" in site.hosts,
        "gpu-1.example.org" in site.hosts,
    ) == (*("https", True, True),)
    assert not [one for one in site.hosts if "*" in one or one.startswith("0.0.0.0")]
    assert site_of("10.0.0.7", 18443, None).hosts == ("127.0.0.1:18443", "10.0.0.7:18443")
    assert site_of("10.0.0.7", 80, None).hosts[2:] == ("127.0.0.1", "10.0.0.7")
    # a certificate keeps others from that name, which may lead to another address of loopback
    assert "localhost:18443" in site_of("127.0.0.1", 18443, tls).hosts


def test_over_https_the_cookie_is_sent_by_https_alone():
    tls = generated().tls
    desk = Desk(READS, site=site_of("127.0.0.1", PORT, tls))
    origin = f"https://127.0.0.1:{PORT}"
    client = desk.client(origin)
    answer = sign_in(client, desk.token(), origin=origin)
    cookie = answer.headers["set-cookie"]
    # which a browser takes from this name alone, and by https
    assert (answer.status_code, cookie.partition("=")[0]) == (
        303,
        f"__Host-inferctl-service-{PORT}",
    )
    assert "Secure" in cookie
    ended = post(client, "/sign-out", origin=origin)
    assert "Secure" in ended.headers["set-cookie"]
    assert sign_in(client, desk.token(), origin=SITE).status_code == 403
