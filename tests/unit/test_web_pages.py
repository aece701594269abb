"""The console in the workspace service: who signs in, and what roles let somebody see and do."""

import re
import time
from html import unescape

import pytest
from starlette.testclient import TestClient
from tests.memory import ANN, fill_journal
from tests.unit.test_desk import BEN, HOUR, issued, journal, up

from inference_provider.access import Principal
from inference_provider.console.application import ACTS, PAGES
from inference_provider.targets.memory import MemoryTarget
from inference_provider.web.application import Service, application
from inference_provider.web.log import Log
from inference_provider.web.pages import NEEDS, Pages, pages
from inference_provider.web.refusals import Refusals
from inference_provider.web.site import site_of

PORT = 18443
SITE = f"http://127.0.0.1:{PORT}"
IRIS, ROSE = "/endpoints/lab/iris", "/endpoints/lab/rose"


def role(name: str, principal="ben", **more):
    """An assignment of a role to a user."""
    short = "".join(one for one in name.lower() if one.isalpha())
    named = {"name": f"{principal}-{short}", "principal": principal, "principal_type": "user"}
    return {**named, "role": name, **more}


READS = role("Reader")
SCIENTIST, OWNER = role("AzureML Data Scientist"), role("Owner")


class Desk:
    """A workspace in memory, its service, and browsers."""

    def __init__(
        self, *assignments, site=None, target=None, keys="", transport=None, **more
    ) -> None:
        self.target = target or MemoryTarget()
        up(self.target, *assignments, **more)
        desk = self.target.desk("lab")
        self.log: list[str] = []
        log = Log(self.log.append)
        refusals = Refusals(desk.note_refused, log=log)
        found = site or site_of("127.0.0.1", PORT, None)
        self.now_s = 1.0
        more = {"transport": transport, "log": log, "clock": lambda: self.now_s}
        given = Pages(desk, self.target, lambda _uri: keys, refusals, lambda: found, **more)
        shown = pages(given)
        service = Service(desk, lambda _uri: keys, refusals, lambda: SITE, pages=shown)
        self.app = application(service)

    def token(self, who=BEN, lifetime=HOUR) -> str:
        return issued(self.target, who, lifetime=lifetime).value.get_secret_value()

    def client(self, base=SITE) -> TestClient:
        return TestClient(self.app, base_url=base, follow_redirects=False)

    def signed_in(self, who=BEN) -> TestClient:
        client = self.client()
        assert sign_in(client, self.token(who)).status_code == 303
        return client


def sign_in(client, token: str, origin=SITE):
    return client.post("/login", data={"token": token}, headers={"origin": origin})


def post(client, path: str, origin=SITE, form_token: str | None = None, **fields):
    if form_token is None:
        form_token = re.search('name="form_token" value="([0-9a-f]{64})"', client.get("/").text)[1]
    sent = {"form_token": form_token, **fields}
    return client.post(path, data=sent, headers={"origin": origin})


def words(answer) -> str:
    return " ".join(unescape(re.sub("<[^>]*>", " ", answer.text)).split())


def test_who_is_not_signed_in_is_led_to_the_door_and_sees_nothing():
    client = Desk(READS).client()
    led = client.get("/", headers={"sec-fetch-mode": "navigate"})
    assert (led.status_code, led.headers["location"]) == (303, "/login")
    for path in ("/", IRIS, "/journal/lab", "/drift"):
        assert client.get(path).status_code == 401
    assert "iris" not in client.get("/login").text
    assert client.get("/static/console.css").status_code == 200
    assert client.post("/sign-out", headers={"origin": SITE}).status_code == 401


def test_a_token_signs_in_as_long_as_it_is_valid_and_the_journal_says_who():
    desk = Desk(READS)
    client = desk.client()
    token = desk.token()
    answer = sign_in(client, token)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=strict", "Path=/", "expires="):
        assert part in cookie
    assert "Secure" not in cookie
    assert token.split(".")[0] not in cookie
    assert "iris" in words(client.get("/"))
    assert ("ben", "sign in to", "lab", "") in journal(desk.target)
    desk.target.memory.clock.sleep(3700)
    assert client.get("/").status_code == 401


@pytest.mark.parametrize("end", ["revoke", "rotate", "sign out"])
def test_a_browser_is_signed_out_with_its_token(end):
    desk = Desk(READS)
    token, client = issued(desk.target), desk.client()
    assert sign_in(client, token.value.get_secret_value()).status_code == 303
    assert client.get("/").status_code == 200
    if end == "revoke":
        desk.target.desk("lab").revoke(token.id, ANN)
    elif end == "rotate":
        for _ in range(2):
            desk.target.desk("lab").rotate(ANN)
    else:
        kept = dict(client.cookies)
        assert "Signed out" in post(client, "/sign-out").text
        client.cookies.update(kept)
    assert client.get("/").status_code == 401


def test_a_token_that_does_not_count_signs_in_nobody_and_is_not_shown_again():
    desk = Desk(READS)
    for bad in ("", "nonsense", desk.token()[:-3], "x" * 20_000, "<script>"):
        answer = sign_in(desk.client(), bad)
        assert answer.status_code == 401
        assert (
            words(answer).count(
                "This token is not valid here: it is wrong, has expired or was revoked."
            )
            == 1
        )
        assert "set-cookie" not in answer.headers
        assert not bad or bad not in answer.text
    assert sign_in(desk.client(), "x" * 70_000).status_code == 413


def test_who_may_not_read_the_endpoints_of_the_workspace_is_not_let_in():
    desk = Desk(role("Reader", scope="endpoints/iris"))
    answer = sign_in(desk.client(), desk.token())
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_a_role_that_is_taken_away_is_refused_on_the_next_page():
    desk = Desk(READS)
    client = desk.signed_in()
    assert client.get("/").status_code == 200
    up(desk.target)
    answer = client.get("/")
    assert answer.status_code == 403
    assert "iris" not in words(answer)


def test_while_records_do_not_tell_who_may_nobody_is_signed_out_and_nobody_in():
    desk = Desk(READS)
    records, client = desk.target.memory.ports("lab").records, desk.signed_in()
    name = "RoleAssignment.ben-reader"
    kept = records.read("records", name).decode()
    for section, broken in (("records", name), ("signing", "_workspace")):
        before, token = records.read(section, broken).decode(), desk.token()
        records.put(section, broken, "half")
        told = (
            sign_in(desk.client(), token),
            client.get("/"),
            post(client, "/sign-out", form_token=""),
        )
        assert [one.status_code for one in told] == [503, 503, 403]
        for one in told[:2]:
            assert "The records of the workspace cannot be used now. Try again later." in words(one)
            assert "set-cookie" not in one.headers
        records.put(section, broken, before)
    assert records.read("records", name).decode() == kept
    assert client.get("/").status_code == 200
    assert [line.split(": ")[0] for line in desk.log] == [
        *(f"read records/{name}", "check a token of Workspace 'lab'")
    ]


def test_nobody_is_let_in_or_sees_keys_of_which_the_journal_has_no_room_to_tell():
    desk = Desk(OWNER)
    token, client = desk.token(), desk.signed_in()
    client.get("/")
    fill_journal(desk.target, "lab")
    answer = sign_in(desk.client(), token)
    assert (answer.status_code, "set-cookie" in answer.headers) == (503, False)
    for path in (IRIS, ROSE):
        shown = post(client, f"{path}/consume")
        assert (shown.status_code, "eyJ" in shown.text) == (409, False)
        assert "no space left" in words(shown)
    assert client.get(IRIS).status_code == 200


def test_who_signs_in_again_and_again_loses_their_own_browsers_and_nobody_elses():
    desk = Desk(READS, role("Reader", "eve"))
    eve = desk.signed_in(Principal("user", "eve"))
    mine, token = [desk.client() for _ in range(7)], desk.token()
    assert [sign_in(client, token).status_code for client in mine] == [303] * 7
    assert [client.get("/").status_code for client in mine] == [401] * 2 + [200] * 5
    assert eve.get("/").status_code == 200
    post(mine[2], "/sign-out")  # which makes room
    assert sign_in(mine[0], token).status_code == 303
    assert [client.get("/").status_code for client in (*mine[3:], mine[0])] == [200] * 5


def test_who_has_no_role_ends_nobodys_session_and_fills_no_journal():
    desk = Desk(READS)
    ben, client, token = desk.signed_in(), desk.client(), desk.token(Principal("user", "eve"))
    told = [sign_in(client, token).status_code for _ in range(60)]
    assert told == [403] * 10 + [429] * 50
    assert ben.get("/").status_code == 200
    assert len([one for one in journal(desk.target) if one[0] == "eve"]) == 2


def test_pages_and_sign_ins_of_one_principal_are_limited_and_no_others():
    desk = Desk(READS, role("Reader", "eve"))
    client, token = desk.client(), desk.token()
    told = [sign_in(client, token).status_code for _ in range(11)]
    assert told == [303] * 10 + [429]
    assert len([one for one in journal(desk.target) if one[1] == "sign in to"]) == 10
    codes = [client.get("/drift/verdict").status_code for _ in range(301)]
    assert (set(codes[:300]), codes[300]) == ({200}, 429)
    assert "Try again in 1 s." in words(client.get("/"))
    assert client.get("/static/console.css").status_code == 200
    assert desk.signed_in(Principal("user", "eve")).get("/").status_code == 200
    desk.now_s += 60
    assert client.get("/").status_code == 200


def test_a_page_that_fails_names_the_log_of_the_service_and_quotes_nothing(capsys):
    class Broken(MemoryTarget):
        def journal(self, _workspace):
            raise ValueError("Bearer eyJ.token")

    desk = Desk(OWNER, target=Broken())
    answer = desk.signed_in().get("/journal/lab")
    assert answer.status_code == 500
    assert "ValueError; the log of the service shows where" in words(answer)
    [line] = desk.log
    assert line.startswith(f"ValueError, {__file__}:")
    assert "eyJ" not in f"{words(answer)} {line} {capsys.readouterr()}"


def test_another_site_can_neither_sign_in_nor_change_nor_find_it():
    desk = Desk(OWNER)
    client = desk.signed_in()
    evil = "http://evil.example.org"
    assert sign_in(desk.client(), desk.token(), origin=evil).status_code == 403
    assert post(client, f"{ROSE}/consume", origin=evil).status_code == 403
    assert post(client, f"{ROSE}/consume", form_token="0" * 64).status_code == 403
    assert desk.client("http://evil.example.org:18443").get("/login").status_code == 421
    assert client.get("/").headers["content-security-policy"].startswith("default-src 'none'")
    assert client.get("/login").headers["x-frame-options"] == "DENY"


GET_ALL = ["/", "/drift", "/drift/verdict", IRIS, f"{IRIS}/test", f"{IRIS}/chat", f"{IRIS}/consume"]


def codes(client) -> dict[str, int]:
    """What a browser may see and do."""
    more = ("/journal/lab", f"{IRIS}/logs", f"{IRIS}/access")
    seen = {f"GET {path}": client.get(path).status_code for path in (*GET_ALL, *more)}
    acts = {
        f"{ROSE}/consume": {},
        f"{IRIS}/consume": {},
        f"{IRIS}/split": {"share.blue": "100"},
        f"{IRIS}/split/apply": {"plan": "x"},
        f"{IRIS}/test": {"body": "{}"},
        f"{IRIS}/chat": {"text": "hi"},
        "/drift/fix": {},
        "/drift/fix/apply": {},
        "/drift/waive": {},
        "/drift/waive/apply": {},
    }
    done = {f"POST {path}": post(client, path, **sent).status_code for path, sent in acts.items()}
    found = seen | done
    assert {what: code for what, code in found.items() if code >= 500} == {}
    return found


def test_a_reader_reads_and_nothing_else():
    found = codes(Desk(READS).signed_in())
    allowed = {what for what, code in found.items() if code != 403}
    assert allowed == {
        *(f"GET {path}" for path in GET_ALL),
        "GET /journal/lab",
        f"GET {IRIS}/access",
    }


def test_a_role_on_one_endpoint_shows_no_assignment_of_the_others():
    of_iris = role("Owner", scope="endpoints/iris")
    client = Desk(SCIENTIST, of_iris).signed_in()
    assert client.get(f"{IRIS}/access").status_code == 403
    assert client.get(f"{IRIS}/logs").status_code == 200


def test_a_data_scientist_calls_changes_and_reads_keys():
    found = codes(Desk(SCIENTIST).signed_in())
    refused = {what for what, code in found.items() if code == 403}
    assert refused == {
        "GET /journal/lab",
        f"GET {IRIS}/access",
        "POST /drift/fix",
        "POST /drift/fix/apply",
        "POST /drift/waive",
        "POST /drift/waive/apply",
    }


def test_what_somebody_reads_is_theirs_in_the_journal():
    desk = Desk(OWNER)
    client = desk.signed_in()
    shown = post(client, f"{ROSE}/consume")
    keys = desk.target.desk("lab").keys(
        desk.target.desk("lab").caller(desk.token(), lambda _uri: ""), "rose"
    )
    assert keys[0].get_secret_value() in shown.text
    assert keys[0].get_secret_value() not in client.get(f"{ROSE}/consume").text
    assert ("ben", "read keys", "rose", "") in journal(desk.target)
    assert "eyJ" in post(client, f"{IRIS}/consume").text
    assert ("ben", "issue token", "iris", "") in journal(desk.target)
    assert "changes are allowed" in words(client.get(IRIS))
    assert "read-only" in words(Desk(READS).signed_in().get(IRIS))


def test_a_role_on_one_endpoint_gives_rights_there_and_a_query_none_elsewhere():
    desk = Desk(READS, role("Owner", scope="endpoints/rose"))
    client = desk.signed_in()
    assert post(client, f"{ROSE}/consume").status_code == 200
    assert post(client, f"{IRIS}/consume").status_code == 403
    assert post(client, f"{IRIS}/consume?endpoint=rose", endpoint="rose").status_code == 403
    assert client.get(f"{IRIS}/logs?endpoint=rose").status_code == 403
    assert client.get(f"{ROSE}/logs").status_code == 200


def test_the_page_of_all_endpoints_is_not_asked_for_as_that_of_one():
    desk = Desk(READS)
    client = desk.signed_in()
    up(desk.target, role("Owner", scope="endpoints/rose"))
    assert client.get(ROSE).status_code == 200
    assert client.get("/?endpoint=rose").status_code == 403
    assert client.get("/journal/lab?endpoint=rose").status_code == 403


def test_another_workspace_is_not_there():
    client = Desk(OWNER).signed_in()
    assert client.get("/endpoints/other/iris").status_code == 404
    assert client.get("/journal/other").status_code == 404


def test_two_who_are_signed_in_have_rights_of_their_own():
    desk = Desk(OWNER, role("Reader", "eve"))
    ben, eve = desk.signed_in(), desk.signed_in(Principal("user", "eve"))
    assert post(ben, f"{ROSE}/consume").status_code == 200
    assert post(eve, f"{ROSE}/consume").status_code == 403
    assert post(ben, f"{ROSE}/consume").status_code == 200


def test_what_needs_are_said_of_are_pages_and_none_of_them_changes_files():
    known = {("GET", path) for path in PAGES} | {("POST", path) for path in ACTS}
    assert set(NEEDS) <= known
    assert {path for _, path in NEEDS if path.startswith("/drift/")} == {"/drift/verdict"}
    changing = {path for method, path in NEEDS if method == "POST" and not NEEDS[method, path]}
    assert changing == set()


def test_tokens_are_given_beside_the_pages():
    desk = Desk(SCIENTIST)
    asked = {"authorization": f"Bearer {desk.token()}"}
    client = desk.client()
    assert client.post("/endpoints/iris/token", headers=asked).status_code == 200
    assert client.post("/endpoints/iris/token").status_code == 401
    assert client.get("/health").status_code == 200
    assert client.get("/", headers=asked).status_code == 401  # a page asks for a cookie
    cookie = desk.signed_in()
    assert cookie.post("/endpoints/iris/token").status_code == 401  # and the rest for a token


def test_a_flood_of_wrong_tokens_ends_in_the_journal_as_one_line():
    desk = Desk(READS)
    client, begun = desk.client(), time.monotonic()
    for _ in range(20):
        sign_in(client, "nonsense")
    assert time.monotonic() - begun < 60
    refused = [one for one in journal(desk.target) if "refused" in one[1]]
    assert len(refused) == 1
