"""What is listed or opened before anybody asks."""
