"""Pictures of files by the service, kept by version."""
