"""What a game is: behaviours, pure functions over plain state."""
