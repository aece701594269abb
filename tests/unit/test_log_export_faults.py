"""What nobody foresaw in the thread that sends logs: its status says so, and it goes on."""

from inference_provider.service.log_book import FileBook
from inference_provider.service.log_export import LogExport
from inference_provider.spec.logs import LogSettings
from inference_provider.targets.sent_logs import described, read

URL = "http://127.0.0.1:4318"


class Sources:
    """Logs that are listed, or not, as a test says."""

    def __init__(self) -> None:
        self.fault: Exception | None = RuntimeError("boom\nover two lines")

    def __call__(self) -> tuple:
        if self.fault:
            raise self.fault
        return ()


def test_an_error_that_nobody_foresaw_is_in_the_status_until_a_look_goes_well(tmp_path, capfd):
    book, sources = tmp_path / "sent.json", Sources()
    export = LogExport(sources, lambda: LogSettings(otlp_endpoint=URL), FileBook(book), "lab")

    def status() -> str:
        return described(URL, read(book.read_bytes()))

    export.look()
    export.look()
    said = status()
    assert said.startswith(f"logs wait for {URL} since 20")
    assert said.endswith(": RuntimeError('boom\\nover two lines')")
    assert capfd.readouterr().err.count("logs are not sent: RuntimeError") == 1
    sources.fault = None
    export.look()
    assert status() == f"logs go to {URL}"
