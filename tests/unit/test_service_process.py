"""What the workspace service is started with, and when another takes its place."""

import json

import pytest

from inference_provider.service.__main__ import where
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.service_process import SERVICE, settle_service
from inference_provider.targets.local.supervisor import ProcessState, Supervisor
from inference_provider.targets.local.supervisor_text import Program

PROXY = "http://ann:s3cret-of-the-proxy@proxy.example.org:3128"
NAMES = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY")
BUNDLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class Started(Supervisor):
    """Writes all that supervisord would start, and has started it."""

    starts = 0

    def add(self, program: Program) -> None:
        self.write(program)
        self.starts += 1

    def remove(self, *names: str, stop_wait_s: float = 30.0) -> None:
        for name in names:
            self.forget(name)

    def process(self, name: str) -> ProcessState | None:
        return ProcessState(name=name, state="RUNNING", pid=7) if self.has(name) else None


@pytest.fixture
def place(tmp_path, monkeypatch):
    for name in (*NAMES, *BUNDLES):
        monkeypatch.delenv(name, raising=False)
    folders = Folders(tmp_path, "lab")
    (folders.folder / "supervisor" / "programs").mkdir(parents=True)
    return folders, Started(folders.folder / "supervisor")


def environment(supervisor):
    return json.loads(supervisor.order_file(SERVICE).read_text())["environment"]


def test_it_finds_a_proxy_and_a_companys_authority_and_no_other_program_does(place, monkeypatch):
    folders, supervisor = place
    monkeypatch.setenv("https_proxy", PROXY)
    monkeypatch.setenv("NO_PROXY", "example.com")
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/company.pem")
    monkeypatch.setenv("SECRET_OF_ANN", "s3cret")
    settle_service(supervisor, folders, needed=True)
    found = environment(supervisor)
    assert {name: found.get(name) for name in ("https_proxy", "NO_PROXY", "SSL_CERT_FILE")} == {
        "https_proxy": PROXY,
        "NO_PROXY": "example.com",
        "SSL_CERT_FILE": "/etc/company.pem",
    }
    assert "SECRET_OF_ANN" not in found
    other = Program(name="other", argv=("true",), directory="/", log=str(folders.folder / "o.log"))
    supervisor.write(other)
    order = json.loads(supervisor.order_file("other").read_text())
    assert not {*order["environment"]} & {*NAMES, *BUNDLES}


def test_the_password_of_a_proxy_is_in_one_file_that_its_user_alone_reads(place, monkeypatch):
    folders, supervisor = place
    monkeypatch.setenv("https_proxy", PROXY)
    settle_service(supervisor, folders, needed=True)
    files = [one for one in folders.root.rglob("*") if one.is_file()]
    having = [one for one in files if "s3cret" in one.read_text()]
    assert having == [supervisor.order_file(SERVICE)]
    assert having[0].stat().st_mode & 0o777 == 0o600
    assert "s3cret" not in json.dumps(json.loads(having[0].read_text())["argv"])


def test_another_proxy_begins_another_service_and_none_leaves_it_as_it_is(place, monkeypatch):
    folders, supervisor = place
    monkeypatch.setenv("https_proxy", PROXY)
    for _ in range(3):
        settle_service(supervisor, folders, needed=True)
    assert supervisor.starts == 1
    monkeypatch.setenv("https_proxy", "http://other.example.org:3128")
    settle_service(supervisor, folders, needed=True)
    assert (supervisor.starts, environment(supervisor)["https_proxy"]) == (
        2,
        "http://other.example.org:3128",
    )
    monkeypatch.delenv("https_proxy")
    settle_service(supervisor, folders, needed=True)
    assert supervisor.starts == 2


def test_how_alerts_stand_goes_with_it_and_stays_where_nobody_can_say_that_there_are_none(place):
    folders, supervisor = place
    folders.alerts.parent.mkdir()
    folders.alerts.write_text("{}")
    for no_alerts in (False, True):
        settle_service(supervisor, folders, needed=True)
        settle_service(supervisor, folders, needed=False, no_alerts=no_alerts)
        assert (supervisor.has(SERVICE), folders.alerts.exists()) == (False, not no_alerts)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["docker", "lab"], ("docker", ["lab"])),
        (["local", "/state", "lab", "0.1.0"], ("local", ["/state", "lab", "0.1.0"])),
        (["/state", "lab", "0.0.9"], ("local", ["/state", "lab", "0.0.9"])),  # of an older release
    ],
)
def test_the_service_is_started_by_the_arguments_of_an_older_release_too(arguments, expected):
    assert where(arguments) == expected
