"""What a person learns of writing, and what a person does about it."""
