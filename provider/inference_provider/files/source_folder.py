"""The folder that paths of specs are relative to, and the content that they name in it.

Goes in: a model or a code configuration. Comes out: its `Content`, listed and read once however
many specs name it: deployments of one stack share their code, and a model may be large.
"""

from collections.abc import Callable
from pathlib import Path

from inference_provider.files.tree import Content, code_content, model_content
from inference_provider.spec import ModelSpec
from inference_provider.spec.deployment import CodeConfiguration

_Find = Callable[[str, Path, str | None], Content]


class SourceFolder:
    """A folder, as it was when content was first looked for: keep it for one pass over specs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._found: dict[tuple[_Find, Path, str | None], Content] = {}

    def model(self, spec: ModelSpec) -> Content:
        """Return a model's content; faults are those of `model_content`."""
        return self._content(model_content, spec.path, spec.stack_file)

    def code(self, code: CodeConfiguration) -> Content:
        """Return the content of a folder of code; faults are those of `model_content`."""
        return self._content(code_content, code.code, code.stack_file)

    def _content(self, find: _Find, path: str, stack_file: str | None) -> Content:
        key = (find, self.path / path, stack_file)
        if key not in self._found:
            self._found[key] = find(path, self.path, stack_file)
        return self._found[key]
