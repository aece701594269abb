"""Pages for a browser of this machine; what they show and change goes through the pipeline."""
