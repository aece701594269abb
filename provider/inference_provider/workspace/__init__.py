"""How a workspace changes, on every target; nothing here knows a process, file or container."""
