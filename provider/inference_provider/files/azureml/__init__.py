"""Azure ML CLI v2 YAML -> a stack, as `stack_file.py` reads one."""
