"""ComponentResources that compose the SDK's resources; the package is a room for a later release."""
