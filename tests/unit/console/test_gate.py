"""Who gets in: the link, the cookie, the Host, the Origin and the token of a form."""

import pytest
from tests.browser import PORT, SITE, words
from tests.unit.console.conftest import OfStack

from inference_provider.console.application import ACTS, PAGES
from inference_provider.console.gate import MAX_BROWSERS, Gate

SPLIT = "/endpoints/default/iris/split"


def at(path):
    return path.replace("{workspace}", "default").replace("{endpoint}", "iris")


@pytest.mark.parametrize("path", [at(path) for path in PAGES])
def test_no_page_is_shown_to_a_browser_that_is_not_signed_in(browser, path):
    answer = browser.another(signed_in=False).get(path)
    assert answer.status_code == 401
    assert answer.text == "Open the link that `inferctl console` shows in its terminal.\n"


def test_a_link_signs_one_browser_in_and_the_next_link_another(browser):
    used, fresh = browser.links
    assert browser.another(signed_in=False).get(f"/login?token={used}").status_code == 403
    assert browser.another(signed_in=False).get(f"/login?token={fresh}").status_code == 200
    assert browser.get("/").status_code == 200


def test_a_request_for_the_head_of_a_link_alone_neither_signs_in_nor_uses_it_up(browser):
    link = f"/login?token={browser.links[-1]}"
    other = browser.another(signed_in=False)
    answer = other.head(link)
    assert (answer.status_code, answer.headers.get("set-cookie")) == (405, None)
    assert other.get("/").status_code == 401
    assert other.get(link).status_code == 200


def test_the_cookie_is_for_this_port_and_neither_for_scripts_nor_for_other_sites(served):
    found = OfStack(served)
    answer = found.another(signed_in=False).get(f"/login?token={found.links[-1]}")
    name, _, rest = answer.headers["set-cookie"].partition("=")
    assert name == f"inferctl-console-{PORT}"
    assert rest.partition(";")[2] == " HttpOnly; Path=/; SameSite=strict"


@pytest.mark.parametrize(
    "host",
    ["evil.example:18090", "127.0.0.1", "127.0.0.1:18091", "localhost:18090", ""],
)
def test_a_host_that_is_not_this_console_is_refused_before_anything_else(browser, host):
    for path in ("/", "/login?token=x", "/static/console.js"):
        answer = browser.get(path, headers={"host": host})
        assert answer.status_code == 421
        assert answer.text == f"This console is at {SITE}/ only.\n"


@pytest.mark.parametrize("path", [*map(at, ACTS), "/sign-out"])
@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:18091", ""])
def test_no_form_of_another_site_does_anything(writing, path, origin):
    answer = writing.post(path, {"share.green": "100"}, headers={"origin": origin})
    assert answer.status_code == 403
    assert answer.text == "A page of another site sent this. Nothing was done.\n"
    assert writing.get("/").status_code == 200


@pytest.mark.parametrize("path", [*map(at, ACTS), "/sign-out"])
@pytest.mark.parametrize("token", ["", "0" * 64, "é"])
def test_no_form_without_the_token_of_its_page_does_anything(writing, path, token):
    answer = writing.post(path, {"share.green": "100"}, token=token)
    assert answer.status_code == 403
    assert "This form is not of a page that this browser was shown." in words(answer)


def test_a_token_of_one_browser_is_none_of_another(writing):
    token, writing.client = writing.token(), writing.another()
    assert writing.post(SPLIT, {"share.blue": "100"}, token=token).status_code == 403
    assert writing.post(SPLIT, {"share.blue": "100"}).status_code == 200


def test_who_signs_out_has_to_open_a_link_again(browser):
    assert browser.post("/sign-out").status_code == 200
    assert browser.get("/").status_code == 401


def test_every_answer_forbids_scripts_of_others_frames_and_caches(browser):
    for answer in (
        browser.get("/"),
        browser.get("/nothing"),
        browser.get("/", headers={"host": "x"}),
    ):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_changes_something_takes_no_get(browser):
    assert [browser.get(at(path)).status_code for path in ACTS if path not in PAGES] != []
    for path in ACTS:
        if path not in PAGES:
            assert browser.get(at(path)).status_code == 405


def test_the_oldest_of_too_many_browsers_has_to_sign_in_again():
    links = []
    gate = Gate(lambda token, _first: links.append(token))
    browsers = [gate.sign_in(links[-1]) for _ in range(MAX_BROWSERS + 1)]
    assert [gate.knows(one) for one in (browsers[0], browsers[1], browsers[-1])] == [
        False,
        True,
        True,
    ]


def test_a_form_that_is_too_large_or_has_no_length_is_refused(browser):
    long = browser.post(SPLIT, {"share.blue": "9" * 70_000})
    assert long.status_code == 413
    headers = {"origin": SITE, "content-type": "application/x-www-form-urlencoded"}
    unbounded = browser.client.post(SPLIT, content=iter([b"a=b"]), headers=headers)
    assert unbounded.status_code == 411


def test_every_path_below_the_static_files_is_one_of_the_package(browser):
    assert browser.get("/static/../command.py").status_code != 200
    assert browser.get("/static/%2e%2e/command.py").status_code == 404
    assert browser.get("/static/console.css").headers["content-type"].startswith("text/css")
