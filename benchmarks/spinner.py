"""A side that computes a fixed amount, to see what a comparison tells of a known difference.

    python -m benchmarks.spinner --work 1000000

The last line of standard output is a JSON object: `seconds` of the loop, without the start, and
`processor`, those in which it had a core.
"""

import argparse
import json
import time


def spin(work: int) -> dict[str, float]:
    """Seconds of so many steps of a multiplicative generator."""
    began, used, value = time.perf_counter(), time.process_time(), 1
    for _ in range(work):
        value = value * 48271 % 2147483647
    return {"seconds": time.perf_counter() - began, "processor": time.process_time() - used}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=int, required=True)
    parser.add_argument("--turns", action="store_true", help="stay, and do the work for each line")
    given = parser.parse_args()
    if given.turns:
        from benchmarks.turns import answering

        answering(lambda: spin(given.work))
    else:
        print(json.dumps(spin(given.work)))


if __name__ == "__main__":
    main()
