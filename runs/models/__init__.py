"""The tables of runs: what works, what is run, and what became of it.

    Worker <- Run -> WorkflowVersion -> Workflow        Run <- RunEvent, Output, Preview
    Worker <- Trace (of one try of a run)                Brought (files of a try that are stored)
    Preferences (of a workspace)                         Address (of a key)

A run's money is a hold of the books, and its charge an entry there (spending.py).
"""

from runs.models.addresses import Address
from runs.models.files import Asset, Brought, Output
from runs.models.preferences import Preferences
from runs.models.runs import ENDED, ON_A_WORKER, Preview, Run, RunEvent, State
from runs.models.traces import Trace
from runs.models.workers import Worker, WorkerNodes
from runs.models.workflows import Workflow, WorkflowVersion

__all__ = [
    "ENDED",
    "ON_A_WORKER",
    "Address",
    "Asset",
    "Brought",
    "Output",
    "Preferences",
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
