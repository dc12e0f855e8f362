"""What the benchmark of boards reads off a firmware and a console; what boards do is not repeated here."""

import ast

import pytest

from benchmarks import board_update, boards
from pawl_tools.errors import ToolError


def test_the_agent_costs_code_and_no_memory_of_its_own():
    """Its variables are on MicroPython's heap, so nothing of the RAM that C has grows."""
    code, zeroed = board_update.sizes("virt_rv32")
    assert (code.name, zeroed.name) == (
        "virt_rv32: firmware, code and constants",
        "virt_rv32: firmware, zeroed RAM",
    )
    assert 1 < code.ratio < 2
    assert zeroed.ratio == 1


def test_a_board_without_firmware_is_refused():
    """The error of the build is the error here."""
    with pytest.raises(ToolError, match="no board esp32 has firmware here"):
        board_update.sizes("esp32")


def test_the_first_code_is_one_file():
    """What it would import, which no board has, stands above it."""
    tree = ast.parse(boards.joined("board_profile", "time_probe"))
    assert "time_probe" not in {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    made = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert {"Stopwatch", "_wrap_link", "profile"} <= made


def test_the_most_heap_is_kept_for_each_stage():
    """The figure stands above its line; lines of no stage count for the whole update only."""
    console = [
        "bench: heap 100",
        "bench: tls 5",
        "pawl: boot 1 row 7 slot A",
        "an application's line",
        "bench: heap 300",
        "bench: tls 9",
        "pawl: blocks 0/25",
        "bench: heap 200",
        "pawl: blocks 8/25",
        "bench: heap 400",
        "bench: tls 7",
        "pawl: reported 1.2 event 6 reason 0",
    ]
    heap, tls = board_update.memory_of(console)
    assert {stage: used for stage, used in heap.items() if used} == {"boot 1": 100, "blocks": 300, "": 400}
    assert tls == 9
