"""The built-in engine: runs a GGUF file on this machine with nothing else installed.

`plugin.py` has the hooks and `mapping.py` their words; `library.py` keeps the installed models; `engine.py` gives each
answer its turn; `child.py` is the engine's process seen from here, `serve.py` from inside.
"""
