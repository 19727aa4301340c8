"""OpenAI's chat completions, spoken to programs: `wire.py` the shapes, `answers.py` from our events to theirs.

Source: the OpenAI API reference, and what its official Python client sends and reads.
"""
