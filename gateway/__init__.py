"""Who may talk to the games: HTTP, WebSocket, identity, limits; and the command line."""
