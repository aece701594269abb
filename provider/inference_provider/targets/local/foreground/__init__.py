"""One deployment in the foreground of a terminal, from the files of the person who works on them.

`choice.py` says which, `process.py` runs its server, `front.py` the router before it, `served.py`
brings them together: what changes starts beside what answers, and takes its place once it is ready.
No workspace is read or changed.
"""
