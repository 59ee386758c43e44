"""The threads that run plain ``def`` handlers."""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import Executor, Future
from functools import partial
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Threads(Executor):
    """At most `most` threads, begun when there is work for them.

    Unlike those of `concurrent.futures.ThreadPoolExecutor` they do not keep the process from ending: a handler that
    blocks for ever would. And work that is cancelled before its turn is forgotten at once, not kept until a thread is
    free to pass over it.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._changed = Condition()
        self._work: OrderedDict[Future[Any], Callable[[], Any]] = OrderedDict()
        self._count = 0
        self._idle = 0
        self._closed = False

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Run `function` in a thread; what it returns or raises is the future's."""
        future: Future[T] = Future()
        with self._changed:
            if self._closed:
                raise RuntimeError("the handlers' threads have been closed")
            self._work[future] = partial(function, *args, **kwargs)
            if len(self._work) > self._idle and self._count < self._most:
                self._count += 1
                Thread(target=self._run, name=f"tomada handler {self._count}", daemon=True).start()
            self._changed.notify()
        future.add_done_callback(self._forget)
        return future

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - an Executor's
        """Let the threads end once their work is done. Never waits for them."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _forget(self, future: Future[Any]) -> None:
        if future.cancelled():
            with self._changed:
                self._work.pop(future, None)

    def _run(self) -> None:
        while (task := self._next()) is not None:
            future, work = task
            if future.set_running_or_notify_cancel():
                try:
                    value = work()
                except BaseException as error:  # noqa: BLE001 - it is told to who waits for the future
                    future.set_exception(error)
                else:
                    future.set_result(value)
                    del value
            # Nothing of the last call is held while waiting for the next.
            del task, future, work

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._changed:
            self._idle += 1
            while not self._work and not self._closed:
                self._changed.wait()
            self._idle -= 1
            if self._work:
                return self._work.popitem(last=False)
            self._count -= 1
            return None
