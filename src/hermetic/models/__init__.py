"""What hermetic knows of libraries, as data: one table a concern, each line with its source.

Nothing here runs anything; `engine` reads the tables. A library's names are written in full, as they are imported.
"""
