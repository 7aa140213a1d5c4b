"""Other ways to host the same games, each a process of its own, for `gameshard bench peers`."""
