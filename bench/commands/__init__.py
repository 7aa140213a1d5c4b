"""The commands of `gameshard bench`, one a file."""
