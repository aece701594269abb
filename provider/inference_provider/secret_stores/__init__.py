"""Secret stores that a workspace reads: where a credential lies -> its value, or why there is none.

Each implements `workspace.secret_store.OutsideStore`, and knows nothing of connections.
"""
