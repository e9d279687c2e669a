"""The emulated hubs, projects, folders, items, versions and their bytes."""
