"""What a person wants to have whole, newest and offline, and who sees to it."""
