"""A model's file is content, whatever somebody has called it."""

import pytest

from inference_provider.desired import identify
from inference_provider.files.digest import with_content_hash
from inference_provider.files.source_folder import SourceFolder
from inference_provider.observed import Kind
from inference_provider.spec import ModelSpec
from tests.conformance.conftest import REAL

HOSTILE = "-rf $(touch pwned) `id`; exit 1 #'\"{port} ${HOME} %(here)s &.bin"
"""Means something to a shell, to options, to YAML, and to what starts instances."""


@pytest.mark.parametrize("opened", REAL, indirect=True)
def test_a_name_that_is_a_command_names_a_file_and_runs_nothing(served):
    folder = served.folder / HOSTILE
    folder.mkdir()
    (folder / HOSTILE).write_bytes(b"weights")
    spec = ModelSpec(workspace=served.workspace, name="odd", path=HOSTILE)
    hashed = with_content_hash(spec, SourceFolder(served.folder))
    model = served.of(Kind.MODEL).model_copy(
        update={"id": identify(Kind.MODEL, hashed), "spec": hashed}
    )
    pinned = f"odd:1@sha256:{hashed.content_hash}"
    served.apply(model, served.deployment(model=pinned))
    assert served.finds(f"$MODEL/{HOSTILE}/{HOSTILE}")
    assert not served.finds("$MODEL/pwned")
    assert not served.finds("pwned")
