"""Pictures of versions, and what the service makes of being asked for them."""
