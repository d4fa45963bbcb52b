"""What a run leaves for the next one: reports, what they depend on, and the facts of files.

`place`, `stamp`, `stored` and `inputs` are loaded before the arguments are parsed, and import next to nothing.
"""
