"""Scenes -> captions, and the words there are."""

from collections.abc import Iterator, Sequence

from foundation.domains.image.scenes import COLOURS, RELATIONS, SHAPES, SIZES, Kind, Scene

COUNTS = ("one", "two", "three", "four")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
NOUNS = (*SHAPES, "background")
PLAIN = ("a", "an", "and", "on", "the", "to", "background")


def plural(shape: str) -> str:
    """More than one of a shape."""
    return shape + ("es" if shape.endswith("s") else "s")


_NOUNS = {form: n for n, noun in enumerate(NOUNS, 1) for form in (noun, plural(noun))}


def vocabulary() -> dict[str, int]:
    """Every word of every caption, with its number."""
    relations = [word for relation in RELATIONS for word in relation.split()]
    words = [*SPECIAL, *PLAIN, *COUNTS, *COLOURS, *SIZES, *relations]
    words += [word for shape in SHAPES for word in (shape, plural(shape))]
    return {word: number for number, word in enumerate(dict.fromkeys(words))}


def phrases(words: Sequence[str]) -> list[tuple[int, int]]:
    """For each word the colour and the noun of its phrase, as `COLOURS` and `NOUNS` count from 1.

    0 where the phrase has none; words of no phrase ("above", "and") have neither.
    """
    told, begun = [(0, 0)] * len(words), 0
    for place, word in enumerate(words):
        if word not in _NOUNS:
            continue
        colours = [COLOURS.index(each) + 1 for each in words[begun:place] if each in COLOURS]
        phrase = (colours[-1] if colours else 0, _NOUNS[word])
        for each in range(begun, place + 1):
            if words[each] in (*COLOURS, *SIZES, word):
                told[each] = phrase
        begun = place + 1
    return told


def caption(scene: Scene, numbers: Iterator[float]) -> str:
    """The scene's caption; `numbers` in [0, 1) choose between wordings of the same."""
    if scene.skill == "count":
        text = _counted(scene)
    else:
        joint = " and "
        if scene.tells_relation:
            joint = f" {_relation(str(scene.relation), next(numbers))} "
        text = joint.join(_with_article(_named(kind, scene)) for kind in scene.kinds)
    if scene.ground:
        text += f" on {_with_article(scene.ground + ' background')}"
    return text


def _counted(scene: Scene) -> str:
    count = len(scene.kinds)
    words = _named(scene.kinds[0], scene).split()
    if count > 1:
        words[-1] = plural(words[-1])
    return " ".join([COUNTS[count - 1], *words])


def _relation(relation: str, number: float) -> str:
    side = relation.removesuffix(" of")
    return f"to the {side} of" if side != relation and number < 0.3 else relation


def _named(kind: Kind, scene: Scene) -> str:
    words = [kind.size] * scene.tells_size + [kind.colour] * scene.tells_colour + [kind.shape]
    return " ".join(words)


def _with_article(text: str) -> str:
    return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"
