"""A real Chromium without a window, driven by its own protocol (CDP) over a websocket."""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from websockets.sync.client import ClientConnection, connect

WAIT_S = 60
_NAMES = ("chromium", "chromium-browser", "google-chrome")


def missing() -> str:
    """Say why there is none; empty where there is one."""
    return "" if _program() else f"no Chromium: none of {', '.join(_NAMES)} is on PATH"


def _program() -> str | None:
    return next(filter(None, map(shutil.which, _NAMES)), None)


class Page:
    """The one page of a browser; waits are for the page, and end with an error after a minute."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self.logged: list[str] = []
        """What the page has complained of: errors of scripts, and what its policy refused."""
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params):
        """Return what a command of the protocol answers."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            found = self._next()
            if found.get("id") == self._number:
                assert "error" not in found, (method, found["error"])
                return found["result"]

    def _next(self):
        found = json.loads(self._socket.recv(timeout=WAIT_S))
        if found.get("method") == "Runtime.exceptionThrown":
            self.logged.append(json.dumps(found["params"]["exceptionDetails"]))
        if found.get("method") == "Log.entryAdded":
            self.logged.append(found["params"]["entry"]["text"])
        return found

    def run(self, script: str):
        """Return the value of an expression in the page, awaited."""
        found = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, script: str) -> None:
        """Wait until an expression is true in the page, also in one that comes after it."""
        look = f"(() => {{ try {{ return Boolean({script}) }} catch {{ return false }} }})()"
        end = time.monotonic() + WAIT_S
        while not self._is(look):
            assert time.monotonic() < end, (script, self.run("document.body.innerText"))
            time.sleep(0.02)

    def _is(self, look: str) -> bool:
        try:
            return self.run(look)
        except AssertionError:  # the page went while it was asked
            return False

    def goto(self, url: str) -> None:
        self.call("Page.navigate", url=url)
        self.until(f"document.readyState == 'complete' && location.href == {json.dumps(url)}")

    def press(self, key: str) -> None:
        """Press a key, as a person without a mouse does."""
        codes = {"Tab": (9, ""), "Enter": (13, "\r"), "ArrowLeft": (37, ""), "ArrowRight": (39, "")}
        code, text = codes[key]
        known = {"key": key, "code": key, "windowsVirtualKeyCode": code, "text": text}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **known)
        self.call("Input.dispatchKeyEvent", type="keyUp", **known)

    def click(self, script: str) -> None:
        """Click in the middle of the element that an expression finds, once nothing moves it."""
        self.until("document.readyState == 'complete'")
        where = self.run(
            f"(() => {{ const it = {script}; it.scrollIntoView({{block: 'center'}});"
            " const box = it.getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2] })()"
        )
        at = {"x": where[0], "y": where[1], "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, **at)

    def look(self, scheme: str, width: int, height: int = 900) -> None:
        """Look as somebody who prefers `light` or `dark`, at a width in pixels."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)
        size = {"width": width, "height": height, "deviceScaleFactor": 1}
        self.call("Emulation.setDeviceMetricsOverride", mobile=width < 600, **size)

    def picture(self, file: Path) -> None:
        """Write a picture of the whole page."""
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(found["data"]))


@contextmanager
def page(folder: Path) -> Iterator[Page]:
    """Start a browser whose profile is in a folder; yield its page."""
    words = [
        str(_program()),
        "--headless=new",
        "--remote-debugging-port=0",
        f"--user-data-dir={folder}",
        "--no-first-run",
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        *(["--no-sandbox"] if os.getuid() == 0 else []),
        "about:blank",
    ]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        try:
            with connect(_page_of(_address(process)), max_size=None, proxy=None) as socket:
                yield Page(socket)
        finally:
            process.terminate()
            process.communicate(timeout=WAIT_S)


def _address(process) -> str:
    for line in process.stderr:
        if "DevTools listening on " in line:
            return line.partition(" on ")[2].strip()
    raise AssertionError(f"Chromium ended with {process.wait()}")


def _page_of(address: str) -> str:
    """Return the address of a browser's only page."""
    with connect(address, max_size=None, proxy=None) as browser:
        browser.send(json.dumps({"id": 1, "method": "Target.getTargets"}))
        found = json.loads(browser.recv(timeout=WAIT_S))["result"]["targetInfos"]
    [target] = [one["targetId"] for one in found if one["type"] == "page"]
    return address.partition("/devtools/")[0] + f"/devtools/page/{target}"
