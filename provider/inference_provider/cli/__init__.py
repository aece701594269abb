"""inferctl, the command line: one way into the pipeline, beside `dynamic/`."""
