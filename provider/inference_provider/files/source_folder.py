"""The folder that paths of specs are relative to, and the content that they name in it.

Goes in: a model, a code configuration or a folder to build of. Comes out: its `Content`, listed
and read once however many specs name it: deployments of one stack share their code, and a model may
be large.
"""

import os
from collections.abc import Callable
from pathlib import Path

from inference_provider.files.tree import Content, build_content, code_content, model_content
from inference_provider.spec import ModelSpec
from inference_provider.spec.deployment import CodeConfiguration
from inference_provider.spec.environment import BuildContext

_Find = Callable[..., Content]


class SourceFolder:
    """A folder, as it was when content was first looked for: keep it for one pass over specs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._found: dict[tuple[_Find, Path, tuple[str | None, ...]], Content] = {}

    def model(self, spec: ModelSpec) -> Content:
        """Return a model's content; faults are those of `model_content`."""
        return self._content(model_content, spec.path, spec.stack_file)

    def code(self, code: CodeConfiguration) -> Content:
        """Return the content of a folder of code; faults are those of `model_content`."""
        return self._content(code_content, code.code, code.stack_file)

    def build(self, context: BuildContext) -> Content:
        """Return the content of a folder to build an image of; faults are those of the others."""
        file = os.path.normpath(context.dockerfile_path)
        return self._content(build_content, context.path, context.stack_file, file)

    def _content(self, find: _Find, path: str, *given: str | None) -> Content:
        key = (find, self.path / path, given)
        if key not in self._found:
            self._found[key] = find(path, self.path, *given)
        return self._found[key]
