"""Envoy as a router, by files in a folder: what every target's Router has in common."""
