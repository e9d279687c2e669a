"""What a running drive shows: logs, a line for each request, stacks, gauges. Counts nothing."""
