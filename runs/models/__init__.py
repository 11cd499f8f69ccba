"""The tables of runs: what works, what is run, and what became of it.

    Worker <- Run -> WorkflowVersion -> Workflow        Run <- RunEvent, Output, Preview
    Worker <- Trace (of one try of a run)

A run's money is a hold of the books, and its charge an entry there (spending.py).
"""

from runs.models.files import Asset, Output
from runs.models.runs import ENDED, ON_A_WORKER, Preview, Run, RunEvent, State
from runs.models.traces import Trace
from runs.models.workers import Worker, WorkerNodes
from runs.models.workflows import Workflow, WorkflowVersion

__all__ = [
    "ENDED",
    "ON_A_WORKER",
    "Asset",
    "Output",
    "Preview",
    "Run",
    "RunEvent",
    "State",
    "Trace",
    "Worker",
    "WorkerNodes",
    "Workflow",
    "WorkflowVersion",
]
