"""Scenes -> prompts and what the judge is to look for: all that joins the two sides."""

from dataclasses import dataclass

from foundation.domains.image import drawing, scenes
from foundation.domains.image.judge import Expected, Wanted
from foundation.domains.image.scenes import Kind, Scene
from foundation.domains.image.wording import caption
from foundation.draws import Draws

NUMBERS = scenes.NUMBERS + drawing.NUMBERS + 8


@dataclass(frozen=True)
class Asked:
    """A prompt, the scene it is of and what is expected; `numbers` draw a true picture of it."""

    skill: str
    prompt: str
    expected: Expected
    scene: Scene
    numbers: tuple[float, ...]

    def drawn(self) -> drawing.Picture:
        """A true picture."""
        return drawing.draw(self.scene, iter(self.numbers))


def ask(split: str, skill: str, number: int, seed: int) -> Asked:
    """Prompt `number` of a skill."""
    numbers = iter(Draws(seed, [number]).uniform(3, (NUMBERS,))[0].tolist())
    scene = scenes.compose(skill, split, numbers)
    prompt = caption(scene, numbers)
    return Asked(skill, prompt, expect(scene), scene, tuple(numbers))


def expect(scene: Scene) -> Expected:
    """What a scene's caption asks for, and no more than it says."""
    wanted: tuple[Wanted, ...]
    if scene.skill == "count":
        wanted = (_wanted(scene.kinds[0], scene, len(scene.kinds)),)
    else:
        wanted = tuple(_wanted(kind, scene, 1) for kind in scene.kinds)
    return Expected(
        wanted=wanted,
        relation=scene.relation if scene.tells_relation else None,
        ground=scene.ground,
        exact=scene.skill == "count",
    )


def _wanted(kind: Kind, scene: Scene, count: int) -> Wanted:
    colour = kind.colour if scene.tells_colour else None
    return Wanted(kind.shape, colour, kind.size if scene.tells_size else None, count)
