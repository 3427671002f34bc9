"""Records of before there was a chain, made into the beginning of one."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from registry.production.history import BEGINNING, WrittenChange


def chained(records: Sequence[WrittenChange]) -> list[WrittenChange]:
    """The same records with numbers from 1, a name of their history, and each with the digest of the one before.

    Whoever does it, and however often, gets the same, so that two who do it at once do no harm.
    """
    name = ""
    done = list[WrittenChange]()
    for number, record in enumerate(records, start=1):
        change = record.change
        if change.previous and change.number == number:  # done already, by a process that was ended half-way
            name = change.history
            done.append(record)
            continue
        name = name or hashlib.sha256(record.text.encode()).hexdigest()[:12]
        previous = done[-1].digest if done else BEGINNING
        done.append(
            WrittenChange.of(
                replace(
                    change,
                    number=number,
                    kind="promotion" if change.undoes is None else "rollback",
                    history=name,
                    previous=previous,
                )
            )
        )
    return done
