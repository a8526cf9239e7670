"""Settings of a rendered data set."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from vireid.people.camera import CAMERAS
from vireid.people.person import FAMILY, Person, draw_family

SPLITS = ("test", "train", "val")
PEOPLE_STREAM = 1

LISTED = {1: 333, 2: 333, 3: 533, 4: 533, 5: 533, 6: 333}
"""How many identities the lists of rand_perm_cam.mat hold, by camera."""


@dataclass(frozen=True)
class RenderConfig:
    """A rendered data set: the same configuration gives the same bytes."""

    train_identities: int = 120
    """Number of training identities."""
    val_identities: int = 30
    """Number of validation identities; they are trained on, too, as is usual on SYSU-MM01."""
    test_identities: int = 51
    """Number of test identities (queries and gallery). All splits consist of families of three look-alikes."""
    train_visible: int = 2
    """Pictures of each training or validation identity in each of the four visible cameras."""
    train_infrared: int = 4
    """Pictures of each training or validation identity in each of the two infrared cameras."""
    test_visible: int = 4
    """Gallery pictures of each test identity in each visible camera."""
    test_infrared: int = 3
    """Query pictures of each test identity in each infrared camera."""
    height: int = 192
    """Height of the pictures, in pixels."""
    width: int = 96
    """Width of the pictures, in pixels."""
    quality: int = 92
    """JPEG quality of the files, 1 to 100; each camera has a quality of its own before."""
    seed: int = 0
    """Seed of the people, poses, places and light."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            least = {"seed": 0, "val_identities": 0, "height": 32, "width": 16}.get(name, 1)
            if value < least:
                raise ValueError(f"RenderConfig: `{name}` must be at least {least}; got {value}")
        if self.test_identities > min(LISTED.values()):
            raise ValueError(
                f"RenderConfig: `test_identities` must be at most {min(LISTED.values())}, as rand_perm_cam.mat lists "
                f"no more for some cameras; got {self.test_identities}"
            )
        if self.identities > 9999:
            raise ValueError(f"RenderConfig: identities must number at most 9999 (four digits); got {self.identities}")
        if self.quality > 100:
            raise ValueError(f"RenderConfig: `quality` must be at most 100; got {self.quality}")

    @property
    def identities(self) -> int:
        return self.test_identities + self.train_identities + self.val_identities

    @property
    def pictures(self) -> int:
        return sum(self.count(identity, camera) for identity in range(1, self.identities + 1) for camera in CAMERAS)

    def split(self, name: str) -> range:
        """The identities of a split. Those of the test split come first: rand_perm_cam.mat must list them."""
        starts = np.cumsum([1, self.test_identities, self.train_identities, self.val_identities]).tolist()
        number = SPLITS.index(name)
        return range(starts[number], starts[number + 1])

    def count(self, identity: int, camera: int) -> int:
        """Number of pictures of an identity in a camera."""
        split = "test" if identity in self.split("test") else "train"
        count: int = getattr(self, f"{split}_{'infrared' if CAMERAS[camera].infrared else 'visible'}")
        return count

    def person(self, identity: int) -> Person:
        """The person of an identity. Each family lies within one split."""
        for number, name in enumerate(SPLITS):
            if identity in self.split(name):
                family, member = divmod(identity - self.split(name).start, FAMILY)
                return draw_family([self.seed, PEOPLE_STREAM, number, family])[member]
        raise ValueError(f"RenderConfig.person: `identity` must be in 1..{self.identities}; got {identity}")


LARGE = RenderConfig(
    train_identities=240,
    val_identities=60,
    test_identities=99,
    train_visible=3,
    train_infrared=6,
    test_infrared=4,
    height=288,
    width=144,
)
"""The larger data set, for a GPU: 9,576 pictures of the size that is usual on SYSU-MM01."""
