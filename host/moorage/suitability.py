"""Where a model can run: for each target the file to take, whether it fits there, and why not where it does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from moorage.errors import MoorageError
from moorage.fit import estimate
from moorage.local import LocalModels
from moorage.machine import total_memory
from moorage.models import Fit, InstallPlan, InstallRequest, ModelDetail, ModelFile, Provider, TargetChoice
from moorage.plugins import Plugins
from moorage.providers import Providers
from moorage.quantizations import guidance, preference

NO_FILE = "It has no GGUF file, so it cannot be installed."
_RANKS = {"fits": 0, "unknown": 1, "tight": 2, "too-big": 3}


class Suitability:
    """`host.suitability`."""

    def __init__(
        self,
        providers: Providers,
        plugins: Plugins,
        local: LocalModels,
        context_length: Callable[[], int],
        limits: Callable[[], tuple[str, ...]],
    ) -> None:
        self._providers = providers
        self._plugins = plugins
        self._local = local
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
        choices, seen = [], {}
        for id, name in self._local.names().items():
            fits = {file.name: self.fit(file, detail, id, length) for file in models}
            best = recommended([file.model_copy(update={"fit": fits[file.name]}) for file in models])
            looks = self._looks(detail, id, models if id == chosen else [best] if best else [])
            choices.append(_choice(id, name, detail, best, looks))
            if id == chosen:
                seen = {file.name: self._seen(file, fits[file.name], best, looks) for file in models}
        files = tuple(seen.get(file.name, file) for file in detail.files)
        return detail.model_copy(update={"files": files, "targets": tuple(choices)})

    def fit(self, file: ModelFile, detail: ModelDetail, target: str, context_length: int | None = None) -> Fit:
        """Whether a file fits a target's memory; `context_length` is never above what the model was made for."""
        length = context_length or self._context_length()
        length = min(length, detail.context_length or length)
        memory = total_memory() if self._providers.is_preset(target) else None
        return estimate(file, parameters=detail.parameters, target=target, memory=memory, context_length=length)

    def recommended(self, detail: ModelDetail, target: str) -> ModelFile | None:
        """The file that an install onto this target takes when nobody names one."""
        models = [file for file in detail.files if file.role == "model"]
        best = recommended([file.model_copy(update={"fit": self.fit(file, detail, target)}) for file in models])
        return next((file for file in models if best and file.name == best.name), None)

    def _seen(
        self, file: ModelFile, fit: Fit, best: ModelFile | None, looks: dict[str, InstallPlan | MoorageError]
    ) -> ModelFile:
        look = looks.get(file.name)
        plan = look if isinstance(look, InstallPlan) else None
        return file.model_copy(
            update={
                "fit": fit,
                "guidance": guidance(file.quantization),
                "recommended": best is not None and file.name == best.name,
                "road": plan.road if plan else None,
                "road_reason": plan.road_reason if plan and plan.road == "import" else None,
            }
        )

    def _looks(
        self, detail: ModelDetail, target: str, files: Sequence[ModelFile]
    ) -> dict[str, InstallPlan | MoorageError]:
        """What the plugin of a target says of files, by name; once it has failed it is not asked on."""
        found: dict[str, InstallPlan | MoorageError] = {}
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


def _choice(
    target: str,
    name: str,
    detail: ModelDetail,
    best: ModelFile | None,
    looks: dict[str, InstallPlan | MoorageError],
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


def _reason(detail: ModelDetail, best: ModelFile, look: InstallPlan | MoorageError) -> str | None:
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
