"""Which pages an endpoint may name."""

import pytest
from tests.stack_files import GOOD, faults, load

ENDPOINT = "  - name: iris-ep\n"
NOT_AN_ORIGIN = (
    "line 10: endpoints.0.cors.origins.0: expected scheme and host in small letters and no path:"
    " https://app.example.org, https://*.example.org, http://localhost:3000, or * for every page"
)


def written(cors):
    return GOOD.replace(ENDPOINT, f"{ENDPOINT}    cors: {cors}\n")


@pytest.mark.parametrize(
    "origin",
    [
        "app.example.org",
        "https://app.example.org/",
        "https://app.example.org/chat",
        "https://App.example.org",
        "https://*",
        "https://a.*.org",
        "*.example.org",
        "null",
        "ftp://app.example.org",
        "https://app.example.org:port",
        "https://app.example.org:65536",
        "https://app.example.org:0",
    ],
)
def test_what_no_browser_sends_as_an_origin_is_refused(folder, origin):
    assert faults(folder, written(f"{{origins: ['{origin}']}}")) == [NOT_AN_ORIGIN]


@pytest.mark.parametrize(
    ("origin", "said"),
    [
        ("https://app.example.org:443", ":443 of https"),
        ("http://*.example.org:80", ":80 of http"),
    ],
)
def test_a_port_that_browsers_leave_out_would_match_no_page(folder, origin, said):
    assert faults(folder, written(f"{{origins: ['{origin}']}}")) == [
        f"line 10: endpoints.0.cors.origins.0: no browser sends the port {said}; leave it out"
    ]


def test_credentials_for_every_page_are_refused(folder):
    assert faults(folder, written("{origins: ['*'], credentials: true}")) == [
        "line 10: endpoints.0.cors: credentials with origins '*' would trust every page;"
        " name the pages"
    ]


def test_no_page_at_all_is_refused(folder):
    assert faults(folder, written("{origins: []}")) == [
        "line 10: endpoints.0.cors.origins: no page is named; name one, or leave cors out"
    ]


def test_what_is_left_out_lets_a_page_send_json_with_a_key(folder):
    stack = load(folder, written("{origins: ['https://app.example.org', 'http://localhost:3000']}"))
    cors = stack.endpoints[0].cors
    assert (cors.methods, cors.headers, cors.credentials, cors.max_age_s) == (
        ("GET", "POST"),
        ("authorization", "content-type", "azureml-model-deployment"),
        False,
        600,
    )
