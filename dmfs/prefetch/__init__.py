"""Speculation: directories listed and small files fetched before a program opens them."""
