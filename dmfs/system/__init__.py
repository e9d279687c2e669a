"""The machine: clocks, threads for disk calls, locks, shared memory. Knows nothing of drives."""
