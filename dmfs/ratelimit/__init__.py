"""How often the service may be called, and which call goes first."""
