"""How a workspace changes, on every target: no process, file, container or cluster of its own."""
