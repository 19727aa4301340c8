"""GGUF, the file format of the models that run locally: what a file's header says, read with a bound on everything."""

from moorage.gguf.header import GgufHeader, UnreadableGguf
from moorage.gguf.reader import SHORTEST, read_gguf_header, read_gguf_prefix

__all__ = ["SHORTEST", "GgufHeader", "UnreadableGguf", "read_gguf_header", "read_gguf_prefix"]
