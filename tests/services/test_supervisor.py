"""The supervisor with small programs in place of services."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from infra.local_services.service import Service, StartError, running
from infra.settings import process_environment
from workers.supervisor import Supervisor

_DEADLINE_S = 20.0

SLEEP = "import time; time.sleep(600)"
IGNORE_SIGTERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
TELL_PID = "import os, pathlib, sys; pathlib.Path(sys.argv[1]).write_text(str(os.getpid()));"
LEAVE_A_CHILD = (
    "import subprocess, sys;"
    f"child = subprocess.Popen([sys.executable, '-c', {SLEEP!r}]);"
    "import pathlib; pathlib.Path(sys.argv[1]).write_text(str(child.pid));"
)


def program(name: str, code: str, *arguments: object, **options) -> Service:
    argv = (sys.executable, "-c", code, *map(str, arguments))
    return Service(name, argv, **{"healthy": running, "env": process_environment()} | options)


class Run:
    """One run of a supervisor: `act` is called when all is healthy, then all is stopped."""

    def __init__(
        self, *services: Service, act: Callable[["Run"], Awaitable[None]] | None = None
    ) -> None:
        self.said: list[str] = []
        self.changes: list[dict[str, int]] = []
        self._services = services
        self._act = act
        asyncio.run(self._main())

    async def _main(self) -> None:
        self.supervisor = Supervisor(self._services, self._say, self._changed)
        started = asyncio.Event()
        acting = asyncio.create_task(self._acting(started))
        try:
            await self.supervisor.run(started.set)
            await acting
        finally:
            acting.cancel()

    async def _acting(self, started: asyncio.Event) -> None:
        await started.wait()
        try:
            if self._act:
                await self._act(self)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    def _say(self, name: str, line: str) -> None:
        self.said.append(f"{name}: {line}")

    def _changed(self, processes) -> None:
        self.changes.append(dict(processes))

    async def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, self.said
            await asyncio.sleep(0.02)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_service_starts_after_those_it_needs_are_healthy_and_stops_before_them(tmp_path):
    code = "import signal, sys, time\nprint('up', flush=True)\n" + textwrap.dedent("""
        def stop(*_):
            print('down', flush=True)
            sys.exit(0)
        signal.signal(signal.SIGTERM, stop)
        open(sys.argv[1], 'w').close()
        time.sleep(600)
    """)
    first, second = tmp_path / "first", tmp_path / "second"

    run = Run(
        program("second", code, second, needs=frozenset({"first"}), healthy=second.exists),
        program("first", code, first, healthy=first.exists),
    )

    lines = [line for line in run.said if line.endswith((" up", " down"))]
    assert [each for each in lines if not each.startswith("up: ")] == [
        "first: up",
        "second: up",
        "second: down",
        "first: down",
    ]


def test_a_need_that_is_not_among_the_services_counts_as_there():
    run = Run(program("alone", SLEEP, needs=frozenset({"elsewhere"})))

    assert list(run.changes[0]) == ["alone"]


def test_a_command_that_ends_by_itself_has_ended_before_the_next_starts(tmp_path):
    done = tmp_path / "done"

    run = Run(
        program("init", "import sys; open(sys.argv[1], 'w').close()", done, once=True),
        program(
            "after",
            "import os, sys, time; print(os.path.exists(sys.argv[1]), flush=True); time.sleep(600)",
            done,
            needs=frozenset({"init"}),
        ),
        act=lambda run: run.until(lambda: "after: True" in run.said),
    )

    assert list(run.changes[0]) == ["after"]


def test_a_command_that_fails_ends_the_start_with_its_last_line():
    failing = program("init", "import sys; sys.exit('no bucket today')", once=True)

    with pytest.raises(StartError, match="init ended with status 1; it said last: no bucket today"):
        Run(failing)


def test_a_service_that_dies_while_starting_ends_the_start_and_stops_the_others(tmp_path):
    told = tmp_path / "pid"

    with pytest.raises(StartError, match=r"broken ended with status 3"):
        Run(
            program("fine", TELL_PID + SLEEP, told, healthy=told.exists),
            program(
                "broken", "raise SystemExit(3)", needs=frozenset({"fine"}), healthy=lambda: False
            ),
        )

    assert not alive(int(told.read_text()))


def test_a_service_that_never_gets_healthy_is_named_with_its_last_lines():
    deaf = program(
        "deaf",
        f"print('one', flush=True); print('two', flush=True); {SLEEP}",
        healthy=lambda: False,
        start_timeout_s=1.0,
    )

    with pytest.raises(StartError, match=r"deaf was not healthy after 1 s; .*: one \| two$"):
        Run(deaf)


def test_a_service_that_dies_is_started_again_under_a_new_process_id():
    async def kill(run: Run) -> None:
        os.kill(run.changes[0]["mortal"], signal.SIGKILL)
        await run.until(lambda: len(run.changes) == 2)

    run = Run(program("mortal", SLEEP), act=kill)

    before, after = (change["mortal"] for change in run.changes)
    assert before != after
    assert "up: mortal was ended by SIGKILL; starting it again in 0.5 s" in run.said
    assert f"up: mortal is back as process {after}" in run.said


def test_the_pause_before_a_restart_doubles_while_a_service_keeps_dying(tmp_path):
    flag = tmp_path / "was here"
    code = (
        "import os, sys, time\n"
        "if os.path.exists(sys.argv[1]): sys.exit(1)\n"
        "open(sys.argv[1], 'w').close()\n"
        "time.sleep(600)"
    )

    async def kill(run: Run) -> None:
        os.kill(run.changes[0]["moody"], signal.SIGKILL)
        await run.until(lambda: any("again in 1 s" in line for line in run.said))

    run = Run(program("moody", code, flag, healthy=flag.exists), act=kill)

    assert "up: moody was ended by SIGKILL; starting it again in 0.5 s" in run.said


def test_children_of_a_service_that_died_are_ended_before_it_is_started_again(tmp_path):
    told = tmp_path / "pid"

    async def kill(run: Run) -> None:
        orphan = int(told.read_text())
        os.kill(run.changes[0]["parent"], signal.SIGKILL)
        await run.until(lambda: len(run.changes) == 2)
        assert not alive(orphan)

    Run(program("parent", LEAVE_A_CHILD + SLEEP, told, healthy=told.exists), act=kill)

    assert not alive(int(told.read_text()))


def test_a_service_that_ignores_sigterm_is_killed():
    stubborn = program(
        "stubborn",
        f"{IGNORE_SIGTERM} print('deaf', flush=True); {SLEEP}",
        stop_timeout_s=0.5,
    )

    run = Run(stubborn, act=lambda run: run.until(lambda: "stubborn: deaf" in run.said))

    assert "up: stubborn did not stop in 0.5 s and was killed" in run.said
    assert not alive(run.changes[0]["stubborn"])


def test_a_second_signal_kills_at_once():
    async def insist(run: Run) -> None:
        await run.until(lambda: "stubborn: deaf" in run.said)
        os.kill(os.getpid(), signal.SIGINT)

    before = time.monotonic()

    run = Run(
        program("stubborn", f"{IGNORE_SIGTERM} print('deaf', flush=True); {SLEEP}"), act=insist
    )

    assert time.monotonic() - before < 8
    assert not alive(run.changes[0]["stubborn"])


def test_what_a_service_leaves_behind_is_removed(tmp_path):
    left = tmp_path / "socket"

    Run(
        program(
            "messy",
            f"import sys; open(sys.argv[1], 'w').close(); {SLEEP}",
            left,
            healthy=left.exists,
            leftovers=(left,),
        )
    )

    assert not left.exists()


def test_a_line_without_end_is_printed_in_pieces():
    run = Run(
        program("wordy", f"print('x' * 200_000, end='', flush=True); {SLEEP}"),
        act=lambda run: run.until(lambda: any("x" * 60_000 in line for line in run.said)),
    )

    pieces = [line.removeprefix("wordy: ") for line in run.said if line.startswith("wordy: ")]
    assert "".join(pieces) == "x" * 200_000


GUARDED = """
import subprocess, sys, time
from pathlib import Path
from workers.supervisor import guarded

def main():
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    Path(sys.argv[1]).write_text(str(child.pid))
    {then}

sys.exit(guarded(main))
"""


@pytest.mark.parametrize(
    ("then", "status"),
    [
        ("return 7", 7),
        ("raise SystemExit(5)", 5),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137),
    ],
)
def test_whatever_becomes_of_the_supervisor_no_descendant_is_left(tmp_path: Path, then, status):
    told = tmp_path / "pid"

    done = subprocess.run(
        [sys.executable, "-c", GUARDED.format(then=then), told], check=False, timeout=_DEADLINE_S
    )

    assert done.returncode == status
    assert not alive(int(told.read_text()))


def test_the_guard_passes_signals_on(tmp_path: Path):
    told = tmp_path / "pid"
    then = "time.sleep(600)"

    with subprocess.Popen([sys.executable, "-c", GUARDED.format(then=then), told]) as guard:
        wait_until(lambda: told.exists() and told.read_text() != "")
        guard.send_signal(signal.SIGTERM)

        assert guard.wait(_DEADLINE_S) == 128 + signal.SIGTERM

    assert not alive(int(told.read_text()))


def test_a_child_ends_with_the_process_that_started_it(tmp_path: Path):
    told = tmp_path / "pid"
    code = f"""
import asyncio, sys
from pathlib import Path
from infra.local_services.service import Service
from workers.supervisor import Supervisor
service = Service("child", (sys.executable, "-c", {SLEEP!r}), healthy=lambda: True)
told = Path(sys.argv[1])
supervisor = Supervisor([service], print, lambda pids: told.write_text(str(pids["child"])))
asyncio.run(supervisor.run(lambda: None))
"""

    with subprocess.Popen([sys.executable, "-c", code, told]) as supervisor:
        wait_until(lambda: told.exists() and told.read_text() != "")
        supervisor.kill()

    wait_until(lambda: not alive(int(told.read_text())))
