"""Control of what becomes of designs."""
