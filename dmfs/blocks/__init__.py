"""Contents: blocks of storage objects in flight, in memory and on disk; read-ahead."""
