"""The console in a real browser: flows clicked and typed, and a picture of each page."""

import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from inference_provider.observed import Kind
from tests import chromium
from tests.local.conftest import Load

pytestmark = [
    pytest.mark.local,
    pytest.mark.envoy,
    pytest.mark.skipif(bool(chromium.missing()), reason=chromium.missing() or "it is there"),
]
IRIS = "/endpoints/lab/iris"
PAGES = {
    "overview": "/",
    "endpoint": IRIS,
    "logs": f"{IRIS}/logs",
    "test": f"{IRIS}/test",
    "chat": f"{IRIS}/chat",
    "consume": f"{IRIS}/consume",
    "access": f"{IRIS}/access",
    "drift": "/drift",
    "waive": "/drift/waive?address=Traffic/lab/iris",
    "journal": "/journal/lab",
}
UNLABELLED = """
[...document.querySelectorAll('input:not([type=hidden]), select, textarea')]
  .filter(field => !field.labels.length && !field.ariaLabel).length
"""
FAINT = """
(() => {
  const numbers = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((all, v, i) => all + v * [.2126, .7152, .0722][i], 0);
  const behind = it => {
    for (; it; it = it.parentElement) {
      const found = numbers(getComputedStyle(it).backgroundColor);
      if (found.length == 3 || found[3]) return found;
    }
    return [255, 255, 255];
  };
  const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
  for (let text; text = words.nextNode();) {
    const it = text.parentElement;
    if (!text.data.trim() || !it.checkVisibility()) continue;
    const both = [light(numbers(getComputedStyle(it).color)), light(behind(it))].sort();
    if ((Math.max(...both) + .05) / (Math.min(...both) + .05) < 4.5) found.push(text.data.trim());
  }
  return found;
})()
"""
"""Texts whose contrast is less than 4.5 to 1 (WCAG 2.2, 1.4.3)."""


@pytest.fixture
def console(lab):
    """`inferctl console --write` on a workspace that serves; its process and its first link."""
    quiet = {"metric": "RequestsPerMinute", "operator": "less_than", "threshold": 1}
    lab.document["endpoints"][0]["alerts"] = {"nobody-asks": {**quiet, "window_s": 15}}
    lab.up()
    process = lab.inferctl("console", "--write", "--port", "0")
    try:
        yield process, process.stdout.readline().split()[1]
    finally:
        process.terminate()
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "the console has ended\n"), (out, err)


def test_a_person_changes_a_split_calls_and_reads_a_key_in_a_browser(lab, console, tmp_path):
    _process, link = console
    site = "http://" + urlsplit(link).netloc
    pictures = Path(os.environ.get("INFERENCE_TEST_PICTURES") or tmp_path / "pictures")
    pictures.mkdir(exist_ok=True)
    with chromium.page(tmp_path / "profile") as page:
        page.look("light", 1200)
        page.call("Page.navigate", url=link)
        page.until(
            "location.pathname == '/' && document.querySelector('h1').innerText == 'Overview'"
        )
        changes_the_split_by_keys(lab, page, site)
        sees_what_others_change(lab, page, site)
        calls(page, site)
        reads_the_keys(lab, page, site)
        sees_what_is_measured(lab, page, site)
        for name, path in PAGES.items():
            looks_right(page, f"{site}{path}", pictures / name)
        page.look("light", 1200)
        waives_and_fixes_the_drift(lab, page, site)
        assert page.logged == []
        runs_no_script_of_others(page)


def changes_the_split_by_keys(lab, page, site):
    page.goto(f"{site}{IRIS}")
    page.run("document.querySelector('input[name=\"share.blue\"]').focus()")
    page.press("Tab")  # to the slider beside it
    for _ in range(3):
        page.press("ArrowLeft")
    page.until("document.querySelector('[data-total]').value == 'together 97 %; must be 100, or 0'")
    page.press("Tab")
    page.press("Tab")
    for _ in range(3):
        page.press("ArrowRight")
    page.until("document.querySelector('[data-total]').value == 'together 100 %'")
    page.press("Tab")
    page.press("Enter")
    page.until("document.querySelector('h1').innerText == 'Plan: split of iris'")
    assert "traffic.blue: 100 -> 97" in page.run("document.querySelector('main').innerText")
    assert lab.observe(Kind.TRAFFIC, "iris").properties["traffic"] == {"blue": 100, "green": 0}
    page.click("document.querySelector('form[action$=apply] button')")
    page.until("document.body.innerText.includes('The split was changed.')")
    assert lab.observe(Kind.TRAFFIC, "iris").properties["traffic"] == {"blue": 97, "green": 3}


def sees_what_others_change(lab, page, site):
    page.goto(f"{site}/")
    page.until("document.body.innerText.includes('green 3 %')")
    page.run("window.same = true")
    page.click("document.querySelector('#live td')")  # which focuses the table
    assert lab.said("split", "iris", "blue=60", "green=40")[0] == 0
    page.until("document.body.innerText.includes('green 40 %')")
    assert page.run("window.same")
    assert page.run("document.activeElement.ariaLabel") == "Endpoints of lab"
    waits_while_something_is_selected(lab, page)
    page.goto(f"{site}/")
    page.until("document.body.innerText.includes('1 drifted')")


def waives_and_fixes_the_drift(lab, page, site):
    page.goto(f"{site}/drift")
    page.click("document.querySelector('td a')")
    page.until("document.querySelector('#field')?.value == 'traffic.blue'")
    page.run("document.querySelector('#reason').focus()")
    page.call("Input.insertText", text="a <b>trial</b>")
    page.press("Enter")
    page.until("document.querySelector('h1').innerText == 'Plan: one more waiver'")
    page.click("document.querySelector('main form button')")
    page.until("document.body.innerText.includes('The waiver was added.')")
    assert ": a <b>trial</b>" in page.run("document.querySelector('main').innerText")
    page.click("document.querySelector('label[for=fix-1]')")
    page.click("document.querySelector('main form button')")
    page.until("document.querySelector('h1').innerText == 'Plan: fix of drift'")
    assert "traffic.blue: 50 -> 100" in page.run("document.querySelector('main').innerText")
    page.click("document.querySelector('main form button')")
    page.until("document.body.innerText.includes('What runs is as the stack file says.')")
    assert lab.observe(Kind.TRAFFIC, "iris").properties["traffic"] == {"blue": 100, "green": 0}


def waits_while_something_is_selected(lab, page):
    page.run("getSelection().selectAllChildren(document.querySelector('#live h2'))")
    assert lab.said("split", "iris", "blue=50", "green=50")[0] == 0
    page.until("document.querySelector('#stale').innerText.includes('waits while something')")
    assert "green 40 %" in page.run("document.body.innerText")
    page.run("getSelection().empty()")
    page.until("document.body.innerText.includes('green 50 %')")
    page.until("document.querySelector('#stale').hidden")


def calls(page, site):
    page.goto(f"{site}{IRIS}/test")
    page.run("document.querySelector('#to').value = 'green'")
    page.run("document.querySelector('#body').select()")
    page.call("Input.insertText", text='{"text": "<b>"}')
    page.click("document.querySelector('main form button')")
    page.until("document.querySelector('#answer')")
    told = page.run("document.querySelector('main').innerText")
    assert "Deployment\ngreen" in told
    assert '"answer": "green"' in told


def sees_what_is_measured(lab, page, site):
    page.goto(f"{site}{IRIS}")
    page.run("window.same = true")
    with Load(lab, sleep_s=0.02, pause_s=0.02):
        page.until("document.querySelectorAll('figure')[1].innerText.includes('blue P95 ')")
        page.until("!document.querySelectorAll('figure')[1].innerText.includes('unknown')")
    titles = page.run("[...document.querySelectorAll('figure svg')].map(it => it.ariaLabel)")
    assert [one.partition(":")[0].partition(",")[0] for one in titles] == [
        "Requests in a minute",
        "Latency",
        "Processor",
        "Memory",
    ]
    drawn = "getComputedStyle(document.querySelector('figure path')).stroke"
    page.until("document.querySelector('[aria-label=Alerts]').innerText.includes('nobody-asks')")
    assert page.run(drawn) == "rgb(20, 108, 46)"  # that of success
    assert page.run("window.same")


def reads_the_keys(lab, page, site):
    page.goto(f"{site}{IRIS}/consume")
    assert lab.key() not in page.run("document.documentElement.innerHTML")
    page.click("document.querySelector('main form button')")
    page.until("document.body.innerText.includes('Shown in this answer only')")
    told = page.run("document.querySelector('main').innerText")
    assert (lab.key() in told, lab.key("secondary") in told) == (True, True)
    assert [one.action for one in lab.target.journal("lab")][-1] == "read keys"


def looks_right(page, url, picture):
    """Look at a page in light and dark, wide and as on a phone, and write pictures of it."""
    page.goto(url)
    assert page.run("document.querySelectorAll('h1, main').length") == 2
    assert page.run(UNLABELLED) == 0
    for scheme, width in (("light", 1200), ("dark", 1200), ("light", 400), ("dark", 400)):
        page.look(scheme, width)
        assert page.run("document.documentElement.scrollWidth") <= width, url
        assert page.run(FAINT) == [], (url, scheme)
        page.picture(picture.with_name(f"{picture.name}-{scheme}-{width}.png"))


def runs_no_script_of_others(page):
    page.run(
        "(() => { const it = document.createElement('script'); it.textContent = 'window.hit = 1';"
        " document.body.append(it) })()"
    )
    assert page.run("typeof window.hit") == "undefined"
    assert "Content Security Policy" in page.logged[-1]
