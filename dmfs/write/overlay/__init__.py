"""What a user sees of the drive's folders: their listings, and what was done since."""
