"""What an install would do, before it does it: the file, the road, the bytes, and what stands in the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from moorage.errors import FieldError, InvalidInput
from moorage.fetch import Downloader
from moorage.fetch.room import human
from moorage.local import LocalModels
from moorage.machine import free_disk
from moorage.models import (
    Credential,
    Disk,
    Fit,
    Install,
    InstallPlan,
    InstallRequest,
    ModelDetail,
    ModelFile,
    Problem,
    Road,
)
from moorage.plugins import Plugins
from moorage.providers import Providers
from moorage.search import Search
from moorage.suitability import Suitability

NO_HASH = "Its source names no hash, so what comes can be checked for its size and its form only."
RESERVE = 10**9  # bytes that stay free for everything else, as while downloading


class Planner:
    def __init__(
        self,
        search: Search,
        providers: Providers,
        plugins: Plugins,
        local: LocalModels,
        downloader: Downloader,
        home: Path,
        suitability: Suitability,
        limits: Callable[[], tuple[str, ...]],
        promised: Callable[[Install | None], int],
    ) -> None:
        self._search = search
        self._providers = providers
        self._plugins = plugins
        self._local = local
        self._downloader = downloader
        self._home = home
        self._suitability = suitability
        self._limits = limits
        self._promised = promised

    def plan(
        self,
        source: str,
        model: str,
        *,
        file: str | None = None,
        quantization: str | None = None,
        target: str | None = None,
        road: Road | None = None,
        install: Install | None = None,
        look: bool = False,
        context_length: int | None = None,
        asks_target: Callable[[], None] = lambda: None,
    ) -> tuple[InstallPlan, Credential | None]:
        """The plan, and the key the host may use to fetch the files. InvalidInput where file or target is unknown.

        `install` is the one that this plan is for, so that only those before it count against it. With `look` somebody
        only wants to see it, judged for `context_length` tokens (none: the setting's), and the header of the file is
        read for that where it is not known. `asks_target` hears
        when the source has answered, and the plugin of the target is asked.
        """
        detail = self._search.describe(source, model, fresh=install is not None and install.attempt > 1)
        target_id = self._local.known_target(target) or self._local.default_target()
        chosen, note = self._choose(detail, file, quantization, target_id, look)
        provider = self._providers.resolve(target_id)
        kept = sum(self._downloader.kept(part) for part in chosen.parts)
        # The plugin of the target never sees the key of the source.
        request = InstallRequest(
            target=provider,
            model=detail.model_copy(update={"credential": None}),
            file=chosen,
            road=road,
            already_here=kept,
            limits=self._limits(),
        )
        asks_target()
        plan = self._plugins.plan_install(request)
        return self._completed(plan, detail, chosen, target_id, note, install, look, context_length), detail.credential

    def _choose(
        self, detail: ModelDetail, file: str | None, quantization: str | None, target: str, look: bool
    ) -> tuple[ModelFile, str | None]:
        models = [item for item in detail.files if item.role == "model"]
        if not models:
            raise InvalidInput(
                f"{detail.id} has no GGUF file, so it cannot be installed.",
                errors=(FieldError("model", "has no GGUF file"),),
                hint="Search with the GGUF filter; many models have a GGUF version by another author.",
                refused=True,
            )
        if file is not None:
            for item in models:
                if file == item.name or file in item.shards:
                    return item, None
            names = ", ".join(item.name for item in models[:20])
            raise InvalidInput(
                f"{detail.id} has no model file named {file}.", errors=(FieldError("file", f"must be one of {names}"),)
            )
        if quantization is not None:
            wanted = [item for item in models if (item.quantization or "").lower() == quantization.lower()]
            if wanted:
                return min(wanted, key=lambda item: (bool(item.shards), item.size)), None
            labels = ", ".join(sorted({item.quantization for item in models if item.quantization})) or "none"
            raise InvalidInput(
                f"{detail.id} has no {quantization} file.",
                errors=(FieldError("quantization", f"must be one of {labels}"),),
            )
        best = self._suitability.recommended(detail, target, read=look) or models[0]
        if len(models) == 1:
            return best, None
        return best, f"{best.name} was chosen: the recommended of {len(models)} files."

    def _completed(
        self,
        plan: InstallPlan,
        detail: ModelDetail,
        file: ModelFile,
        target: str,
        note: str | None,
        install: Install | None,
        look: bool,
        context_length: int | None,
    ) -> InstallPlan:
        """The plugin's plan with what the host knows: gate, disk, fit and why this file."""
        problems = list(plan.problems)
        codes = {problem.code for problem in problems}
        gate = plan.gate
        disk = plan.disk
        if plan.road == "import":
            free, promised = free_disk(self._home), self._promised(install)
            needed = disk.needed if disk.needed is not None else max(0, plan.bytes - plan.already_here)
            enough = free is None or not needed or free >= needed + promised + RESERVE
            disk = Disk(free=free, needed=needed, promised=promised, ok=enough)
            if not disk.ok and "disk-full" not in codes:
                problems.append(_disk_problem(free or 0, needed, promised))
            if gate.closed and "gated" not in codes:
                problems.append(Problem(code="gated", message=gate.message or "", hint=gate.hint))
        fit = plan.fit
        if fit.verdict == "unknown" and fit.needs is None:
            fit = self._suitability.fit(file, detail, target, context_length, read=look)
        unchecked = NO_HASH if plan.road == "import" and any(part.sha256 is None for part in plan.files) else None
        return plan.model_copy(
            update={
                "problems": tuple(problems),
                "disk": disk,
                "fit": Fit.model_validate(fit),
                "license": plan.license or detail.license,
                "note": " ".join(filter(None, (note, plan.note, unchecked))) or None,
            }
        )


def _disk_problem(free: int, needed: int, promised: int) -> Problem:
    others = f", {human(promised)} of it promised to other installs" if promised else ""
    return Problem(
        code="disk-full",
        message=f"{human(needed)} are needed and {human(free)} are free{others}; {human(RESERVE)} stay in reserve.",
        hint="Choose a smaller file or make room: see Disk on the Local models page.",
    )
