"""`inferctl console` itself."""

import socket


def test_a_port_in_use_is_told_with_what_to_do(cli):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        result = cli("console", "--port", port)
    assert result.exit_code == 1
    assert result.stderr == (
        "error: the command line has 1 fault:\n"
        f"  --port: {port} is in use, maybe by another console;"
        " pass another one, or 0 for any that is free\n"
    )


def test_a_stack_file_that_is_not_there_is_told(cli):
    result = cli("console", "other.yaml", "--port", "0")
    assert result.exit_code == 1
    assert "other.yaml: no such file" in result.stderr
