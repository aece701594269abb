"""spec -> desired -> compare -> plan -> apply -> outputs, over the ports of one target."""

__version__ = "0.1.0"
