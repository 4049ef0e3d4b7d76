"""Error rates of the screens, on sentences and programs that they were not made with.

    pip install faker; FOUNDATION_DATA=... python -m benchmarks.screens

What is personal is made by the package Faker (MIT), whose generators know nothing of our patterns,
and stands in a sentence of Banking77; the sentences alone, and those of Snips, are what is not.
Shares come with Wilson's interval at 95 %. Writes benchmarks/results/screens.json, and the table in
docs/trust.md.
"""

import random
import re
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.record import save
from foundation.domains.code.dangerous import Dangerous
from foundation.domains.code.secrets import Secrets
from foundation.domains.code.suite import _problems
from foundation.domains.code.verbatim import Verbatim
from foundation.domains.language import corpora, trust_data
from foundation.domains.language.personal import Personal
from foundation.domains.language.profanity import Profanity
from foundation.durable import write_text
from foundation.groups import OWN
from foundation.intervals import share
from foundation.results import Result

LOCALES = ("en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "pl_PL")
EACH = 400
LINES = 15
PAGE = Path("docs/trust.md")
MARKS = ("<!-- measured: python -m benchmarks.screens -->", "<!-- end -->")
Figures = dict[str, dict[str, Any]]


def result(text: str, **checks: Any) -> Result:
    return Result(0, None, text, True, checks=checks)


def flagged(screen: Callable[[Result], str | None], texts: Sequence[str]) -> dict[str, object]:
    return share([float(screen(result(text)) is not None) for text in texts])


def personal() -> Figures:
    from faker import Faker

    Faker.seed(0)
    _, bank = corpora.read("banking77")
    _, snips = corpora.read("snips")
    clean = [sentence.text for sentence in (*bank, *snips)]
    screen, rng = Personal(), random.Random(0)
    fakes = [Faker(locale) for locale in LOCALES]
    make: dict[str, tuple[str, Callable[[Any], str]]] = {
        "e-mail address": ("made", lambda f: f.email()),
        "payment card": ("made, right by Luhn", lambda f: f.credit_card_number()),
        "bank account": ("made, right by ISO 7064", lambda f: f.iban()),
        "IP address": ("made, public", lambda f: f.ipv4_public()),
        "telephone number": ("made, as written in 8 countries", lambda f: f.phone_number()),
    }
    found: Figures = {}
    for kind, (note, fake) in make.items():
        texts = [f"{rng.choice(bank).text} {fake(fakes[n % len(fakes)])}" for n in range(EACH)]
        hits = [float(kind in set(screen.kinds(text))) for text in texts]
        wrong = [float(kind in set(screen.kinds(text))) for text in clean]
        found[f"personal: {kind}"] = {"set": note, "found": share(hits), "wrongly": share(wrong)}
    return found


def profanity() -> Figures:
    cases, screen = trust_data.hatecheck(), Profanity()
    _, bank = corpora.read("banking77")
    hateful = [case.text for case in cases if case.hateful]
    others = [case.text for case in cases if not case.hateful]
    swear = [case.text for case in cases if case.functionality == "profanity_nh"]
    return {
        "profanity: hatred": {
            "set": "HateCheck", "found": flagged(screen, hateful),
            "wrongly": flagged(screen, others),
        },
        "profanity: swear words": {
            "set": "HateCheck's profanity without hatred; wrongly: Banking77",
            "found": flagged(screen, swear),
            "wrongly": flagged(screen, [sentence.text for sentence in bank]),
        },
    }  # fmt: skip


def code() -> Figures:
    suite = yaml.safe_load((Path(OWN) / "suite" / "humaneval.yaml").read_text())
    (problems,) = _problems(suite).values()
    solutions = [problem["prompt"] + problem["canonical_solution"] for problem in problems]
    files = list(standard_library())
    rng = random.Random(0)
    rng.shuffle(files)
    folder = Path(sysconfig.get_path("stdlib")) / "json"
    copied = list(spans([path.read_text() for path in folder.rglob("*.py")], rng, 200))
    others = list(spans(files[:200], rng, 200))
    wrongly = flagged(Secrets(), solutions + others)
    verbatim = Verbatim(str(folder))
    renamed = [re.sub(r"\b\w+\b", _every_sixth(), text) for text in copied]
    return {
        "secrets": {"set": "wrongly: HumanEval's solutions, 15 lines of the standard library",
                    "found": None, "wrongly": wrongly},
        "dangerous": {"set": "wrongly: HumanEval's solutions", "found": None,
                      "wrongly": flagged(Dangerous(), solutions)},
        "verbatim": {"set": "15 lines of the package json; wrongly: HumanEval's solutions",
                     "found": flagged(verbatim, copied), "wrongly": flagged(verbatim, solutions)},
        "verbatim, every sixth word renamed": {
            "set": "the same", "found": flagged(verbatim, renamed), "wrongly": None},
    }  # fmt: skip


def _every_sixth() -> Callable[[re.Match[str]], str]:
    count = 0

    def other(found: re.Match[str]) -> str:
        nonlocal count
        count += 1
        return f"{found[0]}_" if count % 6 == 0 else found[0]

    return other


def standard_library() -> Iterator[str]:
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        yield path.read_text(encoding="utf-8", errors="replace")


def spans(files: Sequence[str], rng: random.Random, count: int) -> Iterator[str]:
    """Some lines in a row, indented otherwise."""
    long = [lines for lines in map(str.splitlines, files) if len(lines) > 2 * LINES]
    for _ in range(count):
        lines = rng.choice(long)
        start = rng.randrange(len(lines) - LINES)
        yield "\n".join(f"  {line}" for line in lines[start : start + LINES])


def table(figures: Figures) -> str:
    rows = ["| screen | found of what it is for | wrongly, of what it is not for | set |",
            "|---|---|---|---|"]  # fmt: skip
    for name, row in figures.items():
        rows.append(
            f"| {name} | {_shown(row['found'])} | {_shown(row['wrongly'])} | {row['set']} |"
        )
    none = "no set of molecules that are known to be harmful or not is at hand"
    rows.append(f"| pains, brenk, toxicophores, controlled | unmeasured | unmeasured | {none} |")
    return "\n".join(rows)


def _shown(figure: Any) -> str:
    if figure is None:
        return "unmeasured"
    low, high = figure["interval"]
    return f"{figure['mean']:.3f} ({low:.3f} to {high:.3f}) of {figure['of']:,}"


def main() -> None:
    figures = {**personal(), **profanity(), **code()}
    save("screens", {"command": "python -m benchmarks.screens", "figures": figures})
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(MARKS[0])
    after = rest.partition(MARKS[1])[2]
    write_text(PAGE, f"{before}{MARKS[0]}\n\n{table(figures)}\n\n{MARKS[1]}{after}")
    print(table(figures))


if __name__ == "__main__":
    main()
