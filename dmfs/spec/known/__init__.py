"""What names lead to: what a snapshot brought, and what the drive lists."""
