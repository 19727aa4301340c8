"""TLS over any stream: it works through a proxy that itself speaks TLS, and `cancel` sees plain sockets."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import certifi
import httpcore

from moorage.errors import InvalidConfig, Unreachable

R = TypeVar("R")
READ_BYTES = 65536


def default_tls() -> ssl.SSLContext:
    """The certificates that the operating system trusts (a company's own among them) and those of Mozilla."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


class TlsStream(httpcore.NetworkStream):
    """TLS over `inner`. InvalidConfig for a certificate that cannot be trusted: trying again would not help."""

    def __init__(self, inner: httpcore.NetworkStream, context: ssl.SSLContext, hostname: str | None) -> None:
        self._inner = inner
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=hostname)
        try:
            self._run(self._tls.do_handshake)
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise InvalidConfig(
                f"The certificate of {hostname} cannot be trusted: {error.verify_message}.",
                hint="Check the address and the clock of this machine; a company's proxy may need its own certificate.",
            ) from None
        except ssl.SSLError as error:
            self.close()
            reason = (error.reason or "no common protocol").lower().replace("_", " ")
            raise Unreachable(f"No secure connection to {hostname} could be made ({reason}).") from None
        except BaseException:
            self.close()
            raise

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            return self._run(partial(self._tls.read, max_bytes))
        except ssl.SSLZeroReturnError:
            return b""
        except ssl.SSLError:  # cut without a goodbye, or damaged on the way
            raise Unreachable("The secure connection was cut.", hint="Try again.") from None

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            for at in range(0, len(buffer), READ_BYTES):
                self._run(partial(self._tls.write, buffer[at : at + READ_BYTES]))
        except ssl.SSLError:
            raise httpcore.WriteError("the secure connection was cut") from None

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return TlsStream(self, ssl_context, server_hostname)

    def get_extra_info(self, info: str) -> Any:
        return self._tls if info == "ssl_object" else self._inner.get_extra_info(info)

    def _run(self, step: Callable[[], R]) -> R:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush()
                data = self._inner.read(READ_BYTES)
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._inner.write(self._outgoing.read())
