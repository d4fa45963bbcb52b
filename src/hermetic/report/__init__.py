"""Findings on their way out: suppression comments, and one output format a file."""
