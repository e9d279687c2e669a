"""What was so at a moment, from the record that the world keeps of itself."""
