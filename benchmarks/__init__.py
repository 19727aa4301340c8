"""What Moorage costs, measured on this machine: `python -m benchmarks` runs all, `python -m benchmarks.<name>` one.

Whatever is compared is measured in one run. Servers, services and readers are processes of their own, so that none of
them waits for another's interpreter lock; on a machine with few cores they still share those.
"""
