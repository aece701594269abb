"""RouterTable -> files: name under the router's folder -> (version, text). Pure.

To be implemented: see `render()`.
"""
