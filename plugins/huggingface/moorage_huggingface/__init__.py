"""Hugging Face: searching the Hub, describing its models, and inference through its router.

`plugin.py` has the hooks; `hub.py` speaks to the Hub (`query.py` has the words of a search) and `router.py` to the
router; `wire.py` has their JSON and `mapping.py` turns it into models of Moorage; `quantization.py` reads file names,
and `problems.py` turns refusals into errors.
"""
