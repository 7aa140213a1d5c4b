"""What the world may know of a game's events: JSON Schemas, made from the Structs themselves.

schema         the events of a game -> one schema each
compatibility  may a schema take the place of another, as far as what was written is concerned
release        a folder of schemas: what is in it, what should be
__main__       writes that folder: python -m actors.published MODULE FOLDER
"""
