"""What a page's form sends, within limits."""

from dataclasses import dataclass
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request

from inference_provider.console.answers import Refused

FORM_BYTES = 64 * 1024
MOST_FIELDS = 200
FIELD_OF_TOKEN = "form_token"


@dataclass(frozen=True)
class Form:
    """Fields by name, the last of each; a file's content is bytes."""

    fields: dict[str, str]
    files: dict[str, bytes]

    def text(self, name: str) -> str:
        """Return a field; empty where the form has none. Line ends are those of a file."""
        return self.fields.get(name, "").replace("\r\n", "\n")

    def under(self, prefix: str) -> dict[str, str]:
        """Return the fields `<prefix>.<name>`, by name, in their order."""
        start = f"{prefix}."
        found = ((name, value) for name, value in self.fields.items() if name.startswith(start))
        return {name.removeprefix(start): value for name, value in found}


async def read_form(request: Request, most_bytes: int = FORM_BYTES) -> Form:
    """Read a form. Raises Refused when it is too large, or none."""
    length = request.headers.get("content-length", "")
    if not (length.isascii() and length.isdigit()):
        raise Refused(411, "The form has no length. Nothing was done.")
    if int(length) > most_bytes:
        told = f"The form has {length} bytes, {most_bytes} are the most. Nothing was done."
        raise Refused(413, told)
    read: dict[str, Any] = {"max_files": 1, "max_fields": MOST_FIELDS, "max_part_size": most_bytes}
    fields: dict[str, str] = {}
    files: dict[str, bytes] = {}
    async with request.form(**read) as form:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                files[name] = await value.read()
            else:
                fields[name] = value
    return Form(fields, files)
