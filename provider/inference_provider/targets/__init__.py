"""Where instances run: one protocol (`base.py`), one module or folder per target."""
