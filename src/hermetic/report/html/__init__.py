"""Pages for a browser: each is one file that needs nothing else, neither beside it nor from the network."""
