"""The workspace service: the process that keeps the autoscale rules of one workspace."""
