"""A Docker host as a target."""
