"""What was put at a vendor before the request that names it: places, contents and names.

A name is good for a request once its content is here, of the type that was said, and told to be
whole, where that is wanted.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

KEPT = 1000


@dataclass(slots=True)
class Upload:
    """A place, and what was put there."""

    name: str
    content_type: str = ""
    """Empty: any."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Of a form that must come before the content."""
    digest: str = ""
    is_whole: bool = True


class Uploads:
    """The uploads of a vendor, by the ids of their places."""

    def __init__(self) -> None:
        """Begin with none."""
        self._by_id: OrderedDict[str, Upload] = OrderedDict()
        self._by_name: dict[str, Upload] = {}

    def add(self, number: str, upload: Upload) -> None:
        """Remember one; the oldest is forgotten where there are too many."""
        self._by_id[number] = self._by_name[upload.name] = upload
        if len(self._by_id) > KEPT:
            _, oldest = self._by_id.popitem(last=False)
            self._by_name.pop(oldest.name, None)

    def at(self, number: str) -> Upload | None:
        """Return what has that place."""
        return self._by_id.get(number)

    def called(self, name: str) -> Upload | None:
        """Return what has that name."""
        return self._by_name.get(name)
