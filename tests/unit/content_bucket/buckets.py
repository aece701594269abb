"""A bucket in memory or in a folder, and what a content pod keeps in it."""

import hashlib
import itertools

from inference_provider.targets.kubernetes.content_bucket import Bucket, Owner
from inference_provider.targets.kubernetes.content_cache import ContentCache

OURS = Owner("demo", "lab", "a1")
BYTES = bytes(range(256)) * 100_000
DIGEST = hashlib.sha256(BYTES).hexdigest()
NAME = f"{'e' * 64}.{'1' * 16}"
numbers = itertools.count()


def bucket_at(place, owner=OURS):
    protocol = "memory" if "memory" in place[0].protocol else "file"
    return Bucket(f"{protocol}://models/demo", owner, lambda _url: place)


def cache_at(tmp_path, bucket, **more):
    (folder := tmp_path / f"pod{next(numbers)}").mkdir()
    return ContentCache(folder, bucket, **more)


def objects(place):
    system, root = place
    return sorted(one.partition(f"{root.lstrip('/')}/")[2] for one in system.find(root))
