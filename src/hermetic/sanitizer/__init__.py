"""The run-time half: SQLAlchemy sessions watched while tests and services run.

`probes` turns SQLAlchemy's events into facts (`ledger`) and moments; `detectors/` judges them, one rule a file;
`evidence` makes findings of the stacks. Importing this package does not load SQLAlchemy.
"""
