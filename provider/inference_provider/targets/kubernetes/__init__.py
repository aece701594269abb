"""A Kubernetes cluster as a target: native objects, by server-side apply."""
