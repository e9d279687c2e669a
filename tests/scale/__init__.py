"""What the design gives a thousand workers, computed and checked."""
