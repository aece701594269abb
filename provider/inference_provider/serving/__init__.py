"""What runs inside an instance: its environment, its command line, the server's start."""
