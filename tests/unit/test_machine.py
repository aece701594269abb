"""What this machine and its user allow."""

import os
from pathlib import Path

from inference_provider.targets.local.machine import path_fault
from inference_provider.targets.local.store import Store


def test_a_path_that_is_no_text_is_refused_and_can_be_printed():
    store = Store(Path(os.fsdecode(b"/tmp/st\xff")), "lab")
    assert path_fault(store) == "the state folder's path is no UTF-8 text: /tmp/st\\xff"


def test_a_sockets_path_is_measured_in_bytes():
    short, long = Path("/tmp/" + "ü" * 26), Path("/tmp/" + "ü" * 30)
    assert path_fault(Store(short, "demo")) == ""
    assert path_fault(Store(long, "demo")) == (
        "the state folder's path is too long: a socket of workspace 'demo' has 99 bytes with it,"
        f" and may have 96: {long}"
    )
