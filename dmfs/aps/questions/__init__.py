"""Questions to the service that no listing answers, one subject a file."""
