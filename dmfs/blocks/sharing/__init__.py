"""What processes that share a cache tell each other, so that each byte is fetched once."""
