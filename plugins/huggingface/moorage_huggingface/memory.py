"""What the plugin of one host remembers between its calls. Bounded, thread-safe, and never a token."""

from __future__ import annotations

import re
from collections.abc import Callable

from pydantic import SecretStr

from moorage_huggingface.kept import Kept
from moorage_huggingface.limits import Limits, holder
from moorage_huggingface.served import RouterLists
from moorage_huggingface.wire import HubModel, TreeEntry

LISTED = 500  # models
REFUSED = 64  # tokens
REFUSED_SECONDS = 60.0
# A commit does not change, but who may read it, its gate and its providers do.
LISTED_SECONDS = 300.0
TREE_ENTRIES = 20_000  # of all trees together, some 10 MB
_COMMIT = re.compile(r"[0-9a-f]{40}")


class Memory:
    """`monotonic` in seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.limits = Limits(monotonic)
        self.router = RouterLists(monotonic)
        self._refused: Kept[tuple[str, str], bool] = Kept(REFUSED, REFUSED_SECONDS, monotonic)
        self._listed: Kept[tuple[str, str, str, str], HubModel] = Kept(LISTED, LISTED_SECONDS, monotonic)
        self._trees: Kept[tuple[str, str, str], tuple[TreeEntry, ...]] = Kept(
            TREE_ENTRIES, None, monotonic, weight=lambda tree: len(tree) + 1
        )

    def refuse(self, endpoint: str, token: SecretStr) -> None:
        """This hub does not accept `token`; remembered for a minute."""
        self._refused.put((endpoint, holder(token)), True)

    def accept(self, endpoint: str, token: SecretStr) -> None:
        self._refused.forget((endpoint, holder(token)))

    def refused(self, endpoint: str, token: SecretStr | None) -> bool:
        return token is not None and self._refused.get((endpoint, holder(token))) is not None

    def list_model(self, endpoint: str, token: SecretStr | None, model: HubModel) -> None:
        """Remember an entry of a list that was read with `token`."""
        if model.sha is not None:
            self._listed.put((endpoint, holder(token), model.id, model.sha), model)

    def listed(self, endpoint: str, token: SecretStr | None, id: str, commit: str | None) -> HubModel | None:
        """What a list said of this very commit a short while ago to whoever holds `token`."""
        model = self._listed.get((endpoint, holder(token), id, commit)) if commit is not None else None
        return None if model is None or model.disabled else model

    def tree(self, endpoint: str, id: str, commit: str) -> tuple[TreeEntry, ...] | None:
        return self._trees.get((endpoint, id, commit))

    def keep_tree(self, endpoint: str, id: str, commit: str, tree: tuple[TreeEntry, ...]) -> None:
        """A branch moves, so only what a commit names is kept."""
        if _COMMIT.fullmatch(commit):
            self._trees.put((endpoint, id, commit), tree)
