"""Components on the SDK's resources: a room for a later release."""
