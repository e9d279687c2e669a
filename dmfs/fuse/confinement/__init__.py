"""What this machine's security policy permits fusermount3, by which ordinary users mount."""
