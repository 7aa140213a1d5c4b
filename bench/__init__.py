"""How fast and how safe it is: load generators that speak only the public HTTP and WebSocket API.

They import none of the other rooms, so a figure of theirs is what a client sees.
"""
