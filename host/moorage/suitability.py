"""Where a model can run: for each target the file to take, whether it fits there, and why not where it does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from moorage.errors import MoorageError, Unreachable
from moorage.fit import Headers, TargetMemory, estimate, same_model
from moorage.gguf import GgufHeader
from moorage.local import LocalModels
from moorage.models import Fit, InstallPlan, InstallRequest, ModelDetail, ModelFile, Provider, TargetChoice
from moorage.plugins import Plugins
from moorage.providers import Providers
from moorage.quantizations import guidance, preference
from moorage.search import Search

NO_FILE = "It has no GGUF file, so it cannot be installed."
MOST_HEADERS = 3
_RANKS = {"fits": 0, "unknown": 1, "tight": 2, "too-big": 3}


_Look = InstallPlan | MoorageError  # what the plugin of a target says of one file
_HeaderOf = dict[str, GgufHeader | None]  # by `same_model`


class Suitability:
    """`host.suitability`."""

    def __init__(
        self,
        search: Search,
        providers: Providers,
        plugins: Plugins,
        local: LocalModels,
        headers: Headers,
        memory: TargetMemory,
        context_length: Callable[[], int],
        limits: Callable[[], tuple[str, ...]],
    ) -> None:
        self._search = search
        self._providers = providers
        self._plugins = plugins
        self._local = local
        self._headers = headers
        self._memory = memory
        self._context_length = context_length
        self._limits = limits

    def of(self, detail: ModelDetail, *, target: str | None = None, context_length: int | None = None) -> ModelDetail:
        """The detail with what `target` (none: the likely one) makes of each file, and what every target would take.

        `context_length` in tokens is the setting's where it is None. Nothing is asked of a target: what its plugin
        says of names and roads is enough for a first look, and the plan of an install asks the rest.
        """
        chosen = target or self._local.likely_target()
        length = context_length or self._context_length()
        models = [file for file in detail.files if file.role == "model"]
        headers = self._headers_of(detail, models, read=True)
        choices, seen = [], {}
        for id, name in self._local.names().items():
            judged = self._judged(detail, models, headers, id, length)
            best = recommended(judged)
            looks = self._looks(detail, id, judged if id == chosen else [best] if best else [])
            choices.append(_choice(id, name, detail, best, looks))
            if id == chosen:
                seen = {file.name: _seen(file, best, looks[file.name]) for file in judged}
        files = tuple(seen.get(file.name, file) for file in detail.files)
        return detail.model_copy(update={"files": files, "targets": tuple(choices)})

    def fit(
        self, file: ModelFile, detail: ModelDetail, target: str, context_length: int | None = None, *, read: bool
    ) -> Fit:
        """Whether a file fits a target's memory; the context length is that of the settings where none is given.

        Without `read` only a header that is known already counts, so that nobody waits for the source.
        """
        headers = self._headers_of(detail, [file], read=read)
        return self._fit(file, detail, headers, target, context_length or self._context_length())

    def recommended(self, detail: ModelDetail, target: str, *, read: bool) -> ModelFile | None:
        """The file that an install onto this target takes when nobody names one; `read` as in `fit`."""
        models = [file for file in detail.files if file.role == "model"]
        headers = self._headers_of(detail, models, read=read)
        judged = self._judged(detail, models, headers, target, self._context_length())
        best = recommended(judged)
        return next((file for file in models if best and file.name == best.name), None)

    def _judged(
        self, detail: ModelDetail, files: Sequence[ModelFile], headers: _HeaderOf, target: str, length: int
    ) -> list[ModelFile]:
        """The files with their fit for one target."""
        return [file.model_copy(update={"fit": self._fit(file, detail, headers, target, length)}) for file in files]

    def _fit(self, file: ModelFile, detail: ModelDetail, headers: _HeaderOf, target: str, length: int) -> Fit:
        memory = self._memory.of(target)
        return estimate(
            file,
            header=headers.get(same_model(file)),
            parameters=detail.parameters,
            target=target,
            context_length=min(length, detail.context_length or length),
            memory=memory.ram,
            gpu=memory.gpu,
        )

    def _headers_of(self, detail: ModelDetail, files: Sequence[ModelFile], *, read: bool) -> _HeaderOf:
        """A header for the models of a repository, read from one file of each; few repositories hold several."""
        if detail.gate.closed:
            return {}
        groups: dict[str, list[ModelFile]] = {}
        for file in files:
            groups.setdefault(same_model(file), []).append(file)
        found: _HeaderOf = {}
        for key, members in sorted(groups.items(), key=lambda item: -len(item[1]))[:MOST_HEADERS]:
            parts = [file.parts[0] for file in sorted(members, key=lambda file: file.size) if file.parts]
            found[key] = next(filter(None, map(self._headers.known, parts)), None)
            if read and parts and found[key] is None:
                with suppress(Unreachable), self._search.slot(detail.source):  # without one there is an estimate
                    found[key] = self._headers.read(parts[0], detail.credential)
        return found

    def _looks(self, detail: ModelDetail, target: str, files: Sequence[ModelFile]) -> dict[str, _Look]:
        """What the plugin of a target says of files, by name; once it has failed it is not asked on."""
        found: dict[str, _Look] = {}
        failed: MoorageError | None = None
        provider: Provider | None = None
        keyless = detail.model_copy(update={"credential": None})  # the target never sees the key of the source
        for file in files:
            if failed is None:
                try:
                    provider = provider or self._providers.resolve(target)
                    request = InstallRequest(
                        target=provider, model=keyless, file=file, limits=self._limits(), ask_target=False
                    )
                    found[file.name] = self._plugins.plan_install(request)
                    continue
                except MoorageError as error:
                    failed = error
            found[file.name] = failed
        return found


def recommended(files: Sequence[ModelFile]) -> ModelFile | None:
    """The file to take: of those that fit best the one that most people want, whole files before shards.

    Where none is of a usual quantisation it is the largest that fits, and where none fits the smallest of all.
    """

    def rank(file: ModelFile) -> tuple[int, int, bool, int]:
        verdict = file.fit.verdict if file.fit else "unknown"
        if verdict == "too-big":
            return _RANKS[verdict], 0, False, file.size
        place = preference(file.quantization)
        finer = -file.size if verdict in ("fits", "tight") and place == preference(None) else file.size
        return _RANKS[verdict], place, bool(file.shards), finer

    return min(files, key=rank, default=None)


def _seen(file: ModelFile, best: ModelFile | None, look: _Look) -> ModelFile:
    plan = look if isinstance(look, InstallPlan) else None
    return file.model_copy(
        update={
            "guidance": guidance(file.quantization),
            "recommended": best is not None and file.name == best.name,
            "road": plan.road if plan else None,
            "road_reason": plan.road_reason if plan and plan.road == "import" else None,
        }
    )


def _choice(
    target: str,
    name: str,
    detail: ModelDetail,
    best: ModelFile | None,
    looks: dict[str, _Look],
) -> TargetChoice:
    if best is None:
        return TargetChoice(target=target, name=name, reason=NO_FILE)
    return TargetChoice(
        target=target,
        name=name,
        file=best.name,
        quantization=best.quantization,
        size=best.size,
        fit=best.fit,
        reason=_reason(detail, best, looks[best.name]),
    )


def _reason(detail: ModelDetail, best: ModelFile, look: _Look) -> str | None:
    """Why a target should not be given even the best file, in the order in which a person has to solve it."""
    if isinstance(look, MoorageError):
        return str(look)
    if look.problems:
        return look.problems[0].message
    if detail.gate.closed:
        return detail.gate.message
    if best.fit is not None and best.fit.verdict == "too-big":
        return "Even the file that takes least is too big for its memory."
    return None
