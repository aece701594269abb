"""A server outside, which instances reach by the forward proxy."""

import http.server


class Outside(http.server.BaseHTTPRequestHandler):
    """Says what it was asked, so that a test sees what a server outside learns."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = f"{self.path}\n{self.headers}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_given: object) -> None:
        pass
