"""The benchmark behind ``scripts/bench``: dmfs beside its rivals and the limit. Not shipped."""
