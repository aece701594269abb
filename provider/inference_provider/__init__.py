"""spec -> desired -> compare -> plan -> apply -> outputs, over one target protocol."""

__version__ = "0.1.0"
