"""Contents: ranges of storage objects over HTTP."""
