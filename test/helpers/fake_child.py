"""What a child process makes and does; a fake, importable by the process."""

from __future__ import annotations

from multiprocessing.connection import Connection

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.study.batches.served import serve


class Fake:
    def __init__(self, wrong: str = "") -> None:
        if wrong:
            raise ConfigurationError(wrong)

    def do(self, thing: Exception | int) -> int:
        if isinstance(thing, Exception):
            raise thing
        return 2 * thing

    def close(self) -> None:
        pass


def target(pipe: Connection, *given: str) -> None:
    serve(pipe, lambda: Fake(*given), Fake.do, Fake.close)
