"""Will a model fit into a target's memory? Told before anything of it is downloaded."""

from moorage.fit.estimate import estimate
from moorage.fit.headers import Headers
from moorage.fit.memory import Memory, TargetMemory
from moorage.fit.names import same_model

__all__ = ["Headers", "Memory", "TargetMemory", "estimate", "same_model"]
