"""`inferctl az`: the verbs of `az ml` for scripts, over the pipeline of every other command."""
