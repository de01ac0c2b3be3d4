"""The door for user code: a pipeline from a file or made in code, run, and what came of it."""

from __future__ import annotations

from pipeline_runner.api.door import Pipeline
from pipeline_runner.api.result import Result
from pipeline_runner.api.settings import EdgeSettings, Run, StageSettings

__all__ = ["EdgeSettings", "Pipeline", "Result", "Run", "StageSettings"]
