"""Listings on disk as they lie there, for who has no drive and looks at very many at once."""
