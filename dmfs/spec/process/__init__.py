"""The drives of a process, and the event loop in which they live."""
