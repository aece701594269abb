"""Where instances run: one module or folder per target, and what targets share."""
