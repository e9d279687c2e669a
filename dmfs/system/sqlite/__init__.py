"""Small databases in the state directory."""
