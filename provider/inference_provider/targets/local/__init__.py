"""The local target: processes of this machine, with a folder and a supervisord per workspace."""
