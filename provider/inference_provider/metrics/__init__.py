"""What is measured of endpoints and deployments, under the names of Azure Monitor. Pure."""
