"""records.h and memory.h say the same as the Python side; and the extension is there where it can be."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys
import sysconfig
from enum import IntEnum
from pathlib import Path

import pytest

import engine
from engine import api, journal, records, reference, scan

FOLDER = Path(engine.__file__).parent
RECORDS_H = (FOLDER / "records.h").read_text()
MEMORY_H = (FOLDER / "memory.h").read_text()
FLAGS = ("POST_ONLY", "MAKER", "CANCEL_NEWEST", "CANCEL_OLDEST", "FIRST_OF_GROUP", "UNSYNCED_SHIFT", "UNSYNCED_MAX")
CODES = {"uint8_t": "B", "uint16_t": "H", "uint32_t": "I", "uint64_t": "Q", "int64_t": "q"}


def c_struct(name: str) -> str:
    """The struct module's format of a C struct, fields in their order."""
    found = re.search(r"typedef struct[^{]*\{([^}]*)\} " + name + ";", RECORDS_H)
    assert found, name
    body = re.sub(r"/\*.*?\*/", "", found[1], flags=re.DOTALL)
    code = "<"
    for type_, names in re.findall(r"(\w+) ([\w, \[\]]+);", body):
        for field in names.split(","):
            if type_ == "Command":
                code += c_struct("Command")[1:]
            else:
                code += "44s" if "[TEXT_BYTES]" in field else CODES[type_]
    return code


def c_enums() -> dict[str, int]:
    bodies = re.findall(r"^enum \{(.*?)\}", RECORDS_H, re.DOTALL | re.MULTILINE)
    return {name: int(value, 0) for body in bodies for name, value in re.findall(r"(\w+) = (\w+)", body)}


def defined(text: str, name: str) -> int:
    found = re.search(rf"#define {name} (.*?)(?:/\*.*)?$", text, re.MULTILINE)
    assert found, name
    expression = re.sub(r"(?<=[0-9A-Fa-f])[uUlL]+\b", "", found[1]).strip()
    assert re.fullmatch(r"[0-9a-fA-FxX() <]+", expression), expression
    return int(eval(expression))


def test_structs_are_the_same() -> None:
    assert c_struct("Command") == records.COMMAND.format
    assert c_struct("Event") == records.EVENT.format
    assert c_struct("Record") == records.RECORD_HEADER.format + records.COMMAND.format[1:]
    for name, size in (("COMMAND", 96), ("RECORD", 144), ("EVENT", 128)):
        assert defined(RECORDS_H, f"{name}_BYTES") == getattr(records, f"{name}_BYTES") == size
    assert struct.calcsize(c_struct("Record")) == 144


@pytest.mark.parametrize(
    ("enum", "prefix", "others"),
    [
        (records.CommandKind, "", {}),
        (records.Side, "", {}),
        (records.OrderType, "", {}),
        (records.TimeInForce, "", {}),
        (records.InstrumentState, "", {"HALTED": "HALTED_STATE"}),
        (records.EventKind, "EV_", {}),
        (records.Reason, "", {"NONE": "NO_REASON", "HALTED": "REASON_HALTED", "MASS_CANCEL": "REASON_MASS_CANCEL"}),
    ],
)
def test_enums_are_the_same(enum: type[IntEnum], prefix: str, others: dict[str, str]) -> None:
    there = c_enums()
    for member in enum:
        assert there[others.get(member.name, prefix + member.name)] == member.value, member


def test_no_enum_of_c_is_unknown_to_python() -> None:
    enums = (records.CommandKind, records.Side, records.OrderType, records.TimeInForce, records.InstrumentState)
    assert len(c_enums()) == sum(map(len, (*enums, records.EventKind, records.Reason))) + len(FLAGS)


def test_constants_are_the_same() -> None:
    for name in FLAGS:
        assert c_enums()[name] == getattr(records, name)
    for name in (
        "TEXT_BYTES",
        "RECORD_COMMAND_OFFSET",
        "RULES_VERSION",
        "DAY_NS",
        "EXPIRES_NS_MAX",
        "PRICE_TICKS_MAX",
        "QUANTITY_LOTS_MAX",
    ):
        assert defined(RECORDS_H, name) == getattr(records, name)
    assert defined(RECORDS_H, "RECORD_CHECKED_OFFSET") == scan.CHECKED_FROM
    assert defined(RECORDS_H, "SCALE_MAX") == reference.SCALE_MAX
    assert defined(MEMORY_H, "WINDOW_TICKS") == api.WINDOW_TICKS
    assert defined(MEMORY_H, "FAR_LEVELS_MAX") == api.FAR_LEVELS_MAX
    assert defined(MEMORY_H, "CHAIN_MULTIPLIER") == scan.CHAIN_MULTIPLIER


def test_array_sizes_follow_the_window() -> None:
    types = (FOLDER / "types.pxd").read_text()
    words = defined(MEMORY_H, "WINDOW_WORDS")
    assert words * 64 == api.WINDOW_TICKS
    for name, size in (("MID_WORDS", words // 64), ("HIGH_WORDS", words // 4096), ("FAR_LEVELS", api.FAR_LEVELS_MAX)):
        assert re.search(rf"{name} = {size}\b", types), name
    assert f"uint64_t leaf[{words}]" in types


# ---- which implementation runs


def has_compiler() -> bool:
    command = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    return bool(shutil.which(command)) and Path(sysconfig.get_paths()["include"], "Python.h").exists()


@pytest.mark.skipif(not has_compiler(), reason="no C compiler with Python's headers: the plain-Python engine runs")
def test_extension_is_there_where_a_compiler_is() -> None:
    assert engine.implementations() == {"cython": "", "python": ""}, "build it: python setup.py build_ext --inplace"
    assert journal.IMPLEMENTATION == "cython"
    assert engine.create(max_live_orders=8, client_ids_max=8).implementation == "cython"


@pytest.mark.parametrize("name", [name for name, why_not in engine.implementations().items() if not why_not])
def test_created_engine_is_the_one_asked_for(name: str) -> None:
    assert engine.create(name, max_live_orders=8, client_ids_max=8).implementation == name  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="none of auto, cython, python"):
        engine.create("fast", max_live_orders=8, client_ids_max=8)  # type: ignore[arg-type]
    for sizes in ({"max_live_orders": 0, "client_ids_max": 8}, {"max_live_orders": 8, "client_ids_max": -1}):
        with pytest.raises(ValueError, match="max_live_orders"):
            engine.create(name, **sizes)  # type: ignore[arg-type]


def test_without_the_extension_python_runs_and_says_why() -> None:
    """As on a machine without a compiler: the import of the extensions fails."""
    script = (
        "import sys; sys.modules['engine.matching'] = sys.modules['engine.journal_cython'] = None\n"
        "import engine, engine.journal\n"
        "print(engine.create(max_live_orders=8, client_ids_max=8).implementation, engine.journal.IMPLEMENTATION)\n"
        "print(engine.implementations()['cython'])\n"
        "try: engine.create('cython', max_live_orders=8, client_ids_max=8)\n"
        "except RuntimeError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=FOLDER.parent, capture_output=True, text=True, check=True)
    chosen, why_not, refused = done.stdout.splitlines()
    assert chosen == "python python"
    assert "engine.matching" in why_not
    assert refused == f"the compiled engine cannot be loaded: {why_not}"
