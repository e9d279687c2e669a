"""What a person wants to have whole, newest and offline."""
