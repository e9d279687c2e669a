"""Whether the service may be called now: how often, which call goes first, what stalls."""
