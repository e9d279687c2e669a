"""What people write and what names spell, as pure functions: moments, versions, links."""
