"""The built-in engine: runs a GGUF file on this machine with nothing else installed.

`plugin.py` has the hooks; `library.py` keeps the installed models; `gguf.py` reads a file's header; `engine.py` runs
one model in a child process; `serve.py` is that process.
"""
