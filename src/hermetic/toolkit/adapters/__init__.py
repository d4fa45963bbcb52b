"""Blocks in the name of frameworks: one thin file a framework, each gives functions their session explicitly."""
