"""Scenes -> captions, and the words there are."""

from collections.abc import Iterator

from foundation.domains.image.scenes import COLOURS, RELATIONS, SHAPES, SIZES, Kind, Scene

COUNTS = ("one", "two", "three", "four")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
PLAIN = ("a", "an", "and", "on", "the", "to", "background")


def plural(shape: str) -> str:
    """More than one of a shape."""
    return shape + ("es" if shape.endswith("s") else "s")


def vocabulary() -> dict[str, int]:
    """Every word of every caption, with its number."""
    relations = [word for relation in RELATIONS for word in relation.split()]
    words = [*SPECIAL, *PLAIN, *COUNTS, *COLOURS, *SIZES, *relations]
    words += [word for shape in SHAPES for word in (shape, plural(shape))]
    return {word: number for number, word in enumerate(dict.fromkeys(words))}


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
