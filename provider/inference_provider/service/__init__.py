"""The workspace service: the process that keeps the rules and moves the splits of one workspace."""
