"""Bodies off the wire: unpacked with a cap while unpacking, and cut into lines in linear time."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from moorage.errors import BadAnswer, Unreachable

LARGEST_BODY = 32 * 1024 * 1024
LONGEST_LINE = 1024 * 1024
PIECE = 256 * 1024


def unpacked(chunks: Iterable[bytes], encoding: str, remote: str, cap: int | None = LARGEST_BODY) -> Iterator[bytes]:
    """The body without its `Content-Encoding`; BadAnswer once it is larger than `cap` bytes, packed or not."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        pieces: Iterable[bytes] = chunks
    elif name in ("gzip", "x-gzip", "deflate"):
        pieces = _inflated(chunks, remote)
    else:
        raise BadAnswer(f"{remote} packed its answer in a way that was not asked for ({name[:40]}).")
    total = 0
    for piece in pieces:
        total += len(piece)
        if cap is not None and total > cap:
            raise BadAnswer(f"{remote} sent more than {cap // (1024 * 1024)} MB, which is too much for an answer.")
        yield piece


def _inflated(chunks: Iterable[bytes], remote: str) -> Iterator[bytes]:
    """gzip (of several members too) and zlib; never more than one piece is unpacked ahead."""
    unpacker = zlib.decompressobj(wbits=47)  # 32 + 15: either header
    ended = False
    for chunk in chunks:
        data = chunk
        while data:
            if ended:
                unpacker, ended = zlib.decompressobj(wbits=47), False
            try:
                piece = unpacker.decompress(data, PIECE)
            except zlib.error:
                raise BadAnswer(f"{remote} sent an answer that cannot be unpacked.") from None
            if piece:
                yield piece
            ended = unpacker.eof
            data = unpacker.unused_data if ended else unpacker.unconsumed_tail
            if not piece and not ended and len(data) == len(chunk):
                break
    if not ended:
        raise Unreachable(f"The answer of {remote} was cut.", hint="Try again.")


def lines(chunks: Iterable[bytes], remote: str, limit: int = LONGEST_LINE) -> Iterator[bytes]:
    """Lines without their ends (LF or CRLF), the last one without an end too. BadAnswer for one over `limit` bytes."""
    begun: list[bytes] = []
    size = 0
    for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            if begun:
                begun.append(line)
                line = b"".join(begun)
                begun, size = [], 0
            if len(line) > limit:
                raise too_long(remote, limit)
            yield line[:-1] if line.endswith(b"\r") else line
        if rest:
            begun.append(rest)
            size += len(rest)
            if size > limit:
                raise too_long(remote, limit)
    if begun:
        yield b"".join(begun)


def too_long(remote: str, limit: int) -> BadAnswer:
    return BadAnswer(f"{remote} sent a line of more than {limit // 1024} KiB, which is too long to be right.")
