"""The local target: processes of this machine, a folder and one supervisord a workspace."""
