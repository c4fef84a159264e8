"""Run the bank-tax exchange on one machine: four parties, real records or generated ones."""

from ledgercore.demo.run import DemoResult, run_demo

__all__ = ["DemoResult", "run_demo"]
