"""Commands that look for something: versions, names, links, relations, designs as files."""
