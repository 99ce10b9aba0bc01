"""The Ray tasks and actors; beside jobs/, the only place that imports Ray."""

import os

# Read by Ray when it is imported. Workers start from this environment, not from a `uv run` of
# their own; a worker without a GPU keeps its view of devices; nothing is reported home.
os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
