"""The emulator's HTTP server: sockets, routes, faults, rate limits, control."""
