"""Runs services: starts them in order, keeps them alive, leaves none behind.

* A service starts when everything it needs is healthy, and stops when everything that
  needs it has stopped. Independent services do both at the same time.
* A service that dies while the store starts ends the start; one that dies later is started
  again, after a pause that doubles while it keeps dying.
* Stopping is SIGTERM to the process, then SIGKILL to its whole group: when it has taken too
  long, when it has left children, or when the operator asks a second time.
* Nothing outlives the supervisor. Each child is tied to it by the kernel (`tether`), and
  `guarded` puts a process above it that inherits every orphan and ends it.
"""

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path

from infra.local_services import tether
from infra.local_services.service import Service, StartError

Say = Callable[[str, str], None]
"""Prints one line under a process's name."""

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_OWN_NAME = "up"
_POLL_S = 0.1
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_STABLE_S = 30.0
_REMEMBERED_LINES = 5
_LONGEST_LINE = 64 * 1024


class Supervisor:
    """Runs `services` until told to stop; `say` prints, `changed` hears of new process ids."""

    def __init__(
        self, services: Sequence[Service], say: Say, changed: Callable[[Mapping[str, int]], None]
    ) -> None:
        names = {service.name for service in services}
        self._children = {
            service.name: _Child(service, service.needs & names) for service in services
        }
        self._say = say
        self._changed = changed
        self._stop_asked = asyncio.Event()

    async def run(self, started: Callable[[], None]) -> None:
        """Start everything, call `started`, and return once all has been stopped.

        Raises:
            StartError: when a service does not become healthy.
        """
        loop = asyncio.get_running_loop()
        for each in STOP_SIGNALS:
            loop.add_signal_handler(each, self._on_signal, each)
        try:
            async with asyncio.TaskGroup() as running:
                keepers = [running.create_task(self._keep(each)) for each in self._all()]
                starting = running.create_task(self._started(started))
                await self._stop_asked.wait()
                for task in (*keepers, starting):
                    task.cancel()
        except BaseExceptionGroup as errors:
            raise _first(errors) from None
        finally:
            await self._stop_all()

    def processes(self) -> dict[str, int]:
        """The process ids of the services that run."""
        return {name: child.pid for name, child in self._children.items() if child.alive}

    def _all(self) -> Iterable["_Child"]:
        return self._children.values()

    async def _started(self, started: Callable[[], None]) -> None:
        for child in self._all():
            await child.ready.wait()
        started()
        self._changed(self.processes())

    def _on_signal(self, received: signal.Signals) -> None:
        if self._stop_asked.is_set():
            self._say(_OWN_NAME, f"{received.name} again: killing everything")
            for child in self._all():
                child.kill_group()
        else:
            self._say(_OWN_NAME, f"{received.name}: stopping (once more to kill at once)")
            self._stop_asked.set()

    async def _keep(self, child: "_Child") -> None:
        """Start a child, and start it again whenever it dies."""
        for need in child.needs:
            await self._children[need].ready.wait()
        loop = asyncio.get_running_loop()
        since = loop.time()
        await child.start(self._say)
        problem = await child.until_ready()
        if problem:
            raise StartError(f"{child.name} {problem}{child.last_lines()}")
        state = "done" if child.service.once else "up"
        self._say(_OWN_NAME, f"{child.name} is {state} after {loop.time() - since:.1f} s")
        child.ready.set()
        if not child.service.once:
            await self._keep_alive(child)

    async def _keep_alive(self, child: "_Child") -> None:
        loop = asyncio.get_running_loop()
        pause_s, since = _FIRST_PAUSE_S, loop.time()
        problem = await child.ended()
        while True:
            if loop.time() - since > _STABLE_S:
                pause_s = _FIRST_PAUSE_S
            self._say(_OWN_NAME, f"{child.name} {problem}; starting it again in {pause_s:g} s")
            await child.end(force=True)
            await asyncio.sleep(pause_s)
            pause_s, since = min(2 * pause_s, _LONGEST_PAUSE_S), loop.time()
            await child.start(self._say)
            problem = await child.until_ready()
            if not problem:
                self._say(_OWN_NAME, f"{child.name} is back as process {child.pid}")
                self._changed(self.processes())
                problem = await child.ended()

    async def _stop_all(self) -> None:
        async with asyncio.TaskGroup() as stopping:
            for child in self._all():
                stopping.create_task(self._stop(child))

    async def _stop(self, child: "_Child") -> None:
        for other in self._all():
            if child.name in other.needs:
                await other.stopped.wait()
        if not await child.end(force=False):
            self._say(
                _OWN_NAME,
                f"{child.name} did not stop in {child.service.stop_timeout_s:g} s and was killed",
            )
        child.stopped.set()


@dataclass(slots=True, eq=False)
class _Child:
    """A service and the process that runs it at the moment."""

    service: Service
    needs: frozenset[str]
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    _process: asyncio.subprocess.Process | None = None
    _reader: asyncio.Task[None] | None = None
    _lines: deque[str] = field(default_factory=lambda: deque(maxlen=_REMEMBERED_LINES))

    @property
    def name(self) -> str:
        return self.service.name

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        return self._current.pid

    @property
    def _current(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process

    async def start(self, say: Say) -> None:
        """Run the program in a session of its own, tied to this process."""
        self._lines.clear()
        read_end, write_end = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-I", "-S", tether.__file__, str(os.getpid())),
                *self.service.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                env=dict(self.service.env),
                cwd=self.service.cwd,
                start_new_session=True,
            )
        finally:
            os.close(write_end)
            self._reader = asyncio.create_task(self._read(os.fdopen(read_end, "rb", 0), say))

    async def until_ready(self) -> str:
        """Wait until the service works; otherwise say what is wrong, to follow its name."""
        limit_s = self.service.start_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                if self.service.once:
                    return "" if await self._current.wait() == 0 else await self.ended()
                while self.alive:
                    if await asyncio.to_thread(self.service.healthy):
                        return "" if self.alive else await self.ended()
                    await asyncio.sleep(_POLL_S)
                return await self.ended()
        except TimeoutError:
            return f"was not healthy after {limit_s:g} s"

    async def ended(self) -> str:
        """Wait until the process is gone and say how it went, to follow its name."""
        status = await self._current.wait()
        await self._finish_reading()
        if status < 0:
            return f"was ended by {signal.Signals(-status).name}"
        return f"ended with status {status}"

    def last_lines(self) -> str:
        """The end of what the process printed, to follow what went wrong with it."""
        return f"; it said last: {' | '.join(self._lines)}" if self._lines else ""

    async def end(self, *, force: bool) -> bool:
        """End the process and all it left in its group; false when it had to be killed."""
        if self._process is None:
            return True
        in_time = force or await self._terminate(self._process)
        self.kill_group()
        await self._process.wait()
        await self._finish_reading()
        for path in self.service.leftovers:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        return in_time

    def kill_group(self) -> None:
        """End every process of the group at once; its leader may be gone already."""
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def _terminate(self, process: asyncio.subprocess.Process) -> bool:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(self.service.stop_timeout_s):
                await process.wait()
        except TimeoutError:
            return False
        return True

    async def _finish_reading(self) -> None:
        """Take what was printed last, without waiting for those who keep the pipe open."""
        if self._reader is not None:
            await asyncio.wait({self._reader}, timeout=0.5)

    async def _read(self, pipe: FileIO, say: Say) -> None:
        """Print what comes through a pipe of our own.

        Through asyncio's, waiting for the process would be waiting for everyone who holds
        its output open.
        """
        stream = asyncio.StreamReader(_LONGEST_LINE)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), pipe
        )
        try:
            await self._read_lines(stream, say)
        finally:
            transport.close()

    async def _read_lines(self, stream: asyncio.StreamReader, say: Say) -> None:
        pending = b""
        while chunk := await stream.read(_LONGEST_LINE):
            *lines, pending = (pending + chunk).split(b"\n")
            if len(pending) > _LONGEST_LINE:
                lines, pending = [*lines, pending], b""
            for line in lines:
                self._heard(line, say)
        if pending:
            self._heard(pending, say)

    def _heard(self, line: bytes, say: Say) -> None:
        text = line.decode(errors="replace").rstrip()
        noise = self.service.noise
        if text and not (noise and noise.match(text)):
            self._lines.append(text)
            say(self.name, text)


def guarded(main: Callable[[], int]) -> int:
    """Run `main` in a child process and return its status, with no descendant left alive.

    This process passes signals on, inherits what loses its parent, and kills that once
    `main` has ended, however it did. When this process is killed, `main` gets SIGTERM.
    Call it while the process has one thread. Only Linux can do this; elsewhere `main` runs
    as it is.
    """
    if sys.platform != "linux":
        return main()
    guard = os.getpid()
    tether.adopt_orphans()
    watched = {*STOP_SIGNALS, signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        tether.end_with_parent(guard, signal.SIGTERM)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return main()
    try:
        return _watch(child, watched)
    finally:
        _kill_descendants()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _watch(child: int, watched: set[signal.Signals]) -> int:
    """Pass signals on to `child` until it ends; its exit status."""
    while True:
        received = signal.sigwait(watched)
        if received != signal.SIGCHLD:
            os.kill(child, received)
            continue
        for pid, status in _reaped():
            if pid == child:
                return _exit_status(os.waitstatus_to_exitcode(status))


def _exit_status(code: int) -> int:
    """The status a shell gives for what `waitstatus_to_exitcode` says."""
    if code >= 0:
        return code
    sys.stderr.write(
        f"the supervisor was ended by {signal.Signals(-code).name}; what it ran was killed\n"
    )
    return 128 - code


def _reaped() -> Iterable[tuple[int, int]]:
    with suppress(ChildProcessError):
        while (reaped := os.waitpid(-1, os.WNOHANG))[0]:
            yield reaped


def _kill_descendants() -> None:
    """Kill children until there are none; those of a killed child become ours."""
    while True:
        for pid in _children_of(os.getpid()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children_of(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            after_name = stat.read_text(errors="replace").rpartition(")")[2].split()
            if int(after_name[1]) == parent:
                found.append(int(stat.parent.name))
    return found


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
