"""Every command by terminal, pipe, without colours and as JSON, on one deployment that runs; and Ctrl-C on it."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jsonschema
import pytest

import hftctl
from hftctl import errors
from tests.faults.stack import Stack
from tests.lab.terminals import (
    COLOUR,
    ESCAPE,
    HFTCTL,
    ROWS,
    Terminal,
    commands,
    piped,
    takes,
    tmux,
    too_wide,
    words,
)

SCHEMAS = Path(hftctl.__file__).parent / "cli" / "schemas"
CODES = {0} | {
    kind.exit_code for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.HftctlError)
}
SMALL = "engine:\n  max_live_orders: 4096\n  client_ids_max: 16384\n  segment_bytes: 1048576\n"
TALK = re.compile(r"^(error|hint|warning): ", re.MULTILINE)
AT_ONCE = 3


def test_every_command_has_a_row():
    assert set(commands()) == set(ROWS), "a new command belongs into tests/lab/terminals.py"


lab = pytest.mark.lab
patient = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def stack():
    stack = Stack.make("screens", SMALL)
    try:
        stack.deploy()
        stack.command("plan", str(stack.profile), "--save", str(stack.home / "plan.json"))
        (stack.home / "changed.yaml").write_text(f"{stack.base}gateways: 2\n")
        yield stack
    finally:
        stack.destroy()


def each(check):
    """Of all commands, a few at once; what is wrong with each."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = dict(zip(ROWS, pool.map(check, ROWS), strict=True))
    assert not {command: wrong for command, wrong in found.items() if wrong}


def ended(command, code, text):
    wrong = [] if code in ROWS[command].ends and code in CODES else [f"exit {code}"]
    return wrong + [word for word in ("Traceback", "has a bug") if word in text] + ([text] if wrong else [])


@lab
@patient
def test_terminals_of_tmux_show_whole_lines(stack):
    with tmux(stack.home) as server:

        def check(command):
            name, line, wrong = command.replace(" ", "-"), words(command, stack), []
            for columns, more in ((80, {}), (200, {"NO_COLOR": "1"})):
                code, screen = server.show(stack, f"{name}-{columns}", line, columns, **more)
                wrong += ended(command, code, screen) + too_wide(ROWS[command], screen, columns)
                if more and COLOUR.search(screen):
                    wrong.append(f"coloured in spite of NO_COLOR: {screen!r}")
            return wrong

        each(check)


@lab
@patient
def test_a_dumb_terminal_gets_plain_text(stack):
    def check(command):
        terminal = Terminal(stack, *HFTCTL, *words(command, stack), TERM="dumb")
        code = terminal.end()
        wrong = ended(command, code, terminal.shown)
        return wrong + ([f"escapes: {terminal.shown!r}"] if ESCAPE.search(terminal.shown) else [])

    each(check)


@lab
@patient
def test_a_pipe_gets_results_on_stdout_and_talk_on_stderr(stack):
    def check(command):
        done = piped(stack, *words(command, stack))
        wrong = ended(command, done.code, done.out + done.err)
        if ESCAPE.search(done.out + done.err):
            wrong.append(f"escapes: {done}")
        if TALK.search(done.out) or (done.code not in {0, 3, 9} and not done.err):
            wrong.append(f"on the wrong side: {done}")
        return wrong

    each(check)


@lab
@patient
def test_documents_keep_to_their_schemas(stack):
    def check(command):
        row = ROWS[command]
        if takes(command, "-o") != bool(row.kind):
            return [f"its row says {row.kind!r} is its kind"]
        if not row.kind:
            return []
        done = piped(stack, *words(command, stack), "-o", "json")
        wrong = ended(command, done.code, done.out + done.err)
        try:
            document = json.loads(done.out)
            jsonschema.validate(document, json.loads((SCHEMAS / f"{document['kind']}.json").read_text()))
        except (ValueError, KeyError, jsonschema.ValidationError) as error:
            return [*wrong, f"{error}: {done}"]
        if document["kind"] not in {row.kind, "Error"} or (done.code == 0 and document["kind"] == "Error"):
            wrong.append(f"kind {document['kind']} with exit {done.code}")
        return wrong

    each(check)


@lab
@patient
def test_ctrl_c_stops_safely_once_leaves_at_once_twice_and_both_can_be_continued(stack):
    changed = str(stack.home / "changed.yaml")
    for presses in (1, 2):
        terminal = Terminal(stack, *HFTCTL, "restart", "gateway", "-p", stack.name, "--yes")
        terminal.until("applying")
        terminal.type("\x03" * presses)
        assert terminal.end() == 130, terminal.shown
        assert "Traceback" not in terminal.shown
        said = " ".join(COLOUR.sub("", terminal.shown).split())
        assert f"hftctl rollout continue -p {stack.name}" in said, said
        assert f"hftctl rollout abort -p {stack.name}" in said, said
        assert stack.command("rollout", "status", "-p", stack.name, expect=(9,))["state"] == "interrupted"
        stack.command("rollout", "continue", "-p", stack.name, "--yes")
    assert stack.status()["state"] == "ready"
    assert stack.command("diff", "now", changed, "-p", stack.name, expect=(3,))["different"]


@lab
@patient
def test_psql_on_a_terminal_takes_ctrl_c_itself_and_leaves_the_terminal_sane(stack):
    shell = Terminal(stack, "sh", PS1="ready> ", PAGER="cat")
    shell.until("ready> ")
    shell.type("stty -g\r")
    before = _mode(shell.until("ready> "))
    shell.type(f"{' '.join(HFTCTL)} exec -p {stack.name} postgres-0 -- psql -X -P pager=off\r")
    shell.until("=# ")
    shell.type("DO $$ BEGIN RAISE NOTICE 'sle%', 'eps'; PERFORM pg_sleep(600); END $$;\r")
    shell.until("sleeps")  # a Ctrl-C that comes before the server works on it interrupts nothing
    shell.type("\x03")
    shell.until("=# ")
    shell.type("SELECT 6 * 7 AS answer;\r")
    assert "42" in shell.until("(1 row)")
    shell.type("\\q\r")
    shell.until("ready> ")
    shell.type("stty -g\r")
    assert _mode(shell.until("ready> ")) == before
    shell.type("exit\r")
    assert shell.end() == 0


def _mode(said):
    return re.search(r"[0-9a-f]+(:[0-9a-f]+){10,}", said).group()
