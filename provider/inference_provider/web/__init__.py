"""The workspace service over HTTP: tokens of endpoints for callers that have no state folder."""
