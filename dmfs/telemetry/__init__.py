"""What a person sees of a running drive: logs, one line a request, stacks."""
