"""What the disk says, as an error with a meaning."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from moorage.errors import DiskFull, StoreError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def writing() -> Iterator[None]:
    """Errors of the disk by their kind: full, or not to be written at all."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise DiskFull(
                f"The disk is full ({error.strerror}).",
                hint="Make room and resume: what was downloaded so far is kept.",
            ) from None
        raise StoreError(
            f"The models directory cannot be written: {error.strerror}.", hint="Check the disk and its permissions."
        ) from None
