"""Where the service has pictures of versions."""
