"""Run the bank-tax exchange on one machine: four parties, real records or generated ones."""

from ledgercore.demo.page import render_page
from ledgercore.demo.run import DemoResult, run_demo

__all__ = ["DemoResult", "render_page", "run_demo"]
