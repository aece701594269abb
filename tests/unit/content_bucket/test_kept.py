"""Content that lies in a bucket: what is written, read again, left alone and deleted there."""

import hashlib
import itertools
import json
import os
import threading
import tracemalloc

import pytest
from tests.unit.content_bucket.buckets import (
    BYTES,
    DIGEST,
    NAME,
    OURS,
    bucket_at,
    cache_at,
    objects,
)

from inference_provider.targets.kubernetes.content_bucket import (
    Bucket,
    BucketFault,
    BucketFull,
    opened,
    secret_values,
)
from inference_provider.targets.kubernetes.content_cache import Fetching
from inference_provider.targets.kubernetes.content_folder import (
    InUse,
    NotTheContent,
)


def at_hand(cache):
    return sorted(one.name for one in cache._assets.iterdir())


def read(cache, digest):
    with cache.opened(digest) as opened:
        return opened.read()


def test_what_is_put_is_in_the_bucket_and_another_pod_gives_it(cache, bucket, place, tmp_path):
    cache.receive(DIGEST, [BYTES[:100], BYTES[100:]], len(BYTES))
    assert objects(place) == [f"assets/{DIGEST}", "workspace.json"]
    told = json.loads(place[0].cat_file(f"{place[1]}/workspace.json"))
    assert told == {"workspace": "demo", "namespace": "lab", "id": "a1"}
    other = cache_at(tmp_path, bucket)
    assert other.size(DIGEST) == 25_600_000
    assert at_hand(other) == []
    assert read(other, DIGEST) == BYTES
    assert at_hand(other) == [DIGEST]


def test_what_nobody_has_is_nowhere(cache, place):
    assert cache.size(DIGEST) is None
    assert cache.opened(DIGEST) is None
    assert cache.listed()["assets"] == []
    assert cache.remove(DIGEST) is False


class Gone(Exception):
    pass


def broken():
    yield BYTES[:20_000_000]
    raise Gone


@pytest.mark.parametrize(
    ("parts", "error"), [(lambda: [BYTES[1:]], NotTheContent), (broken, Gone)], ids=["hash", "cut"]
)
def test_what_does_not_arrive_whole_leaves_nothing(cache, place, parts, error):
    with pytest.raises(error):
        cache.receive(DIGEST, parts(), len(BYTES))
    assert objects(place) == ["workspace.json"]
    assert at_hand(cache) == []
    assert cache.size(DIGEST) is None


def test_an_object_that_is_damaged_is_not_given_and_is_copied_again(cache, place):
    cache.check()
    system, root = place
    system.makedirs(f"{root}/assets", exist_ok=True)
    system.pipe_file(f"{root}/assets/{DIGEST}", b"half")
    assert cache.size(DIGEST) == 4
    assert cache.opened(DIGEST) is None
    assert cache.size(DIGEST) is None
    assert cache.listed()["assets"] == []
    cache.receive(DIGEST, [BYTES], len(BYTES))
    assert cache.size(DIGEST) == 25_600_000
    assert [one["digest"] for one in cache.listed()["assets"]] == [DIGEST]


def test_a_prefix_of_another_workspace_is_changed_by_nobody_else(cache, bucket, place, tmp_path):
    cache.receive(DIGEST, [BYTES], len(BYTES))
    cache.name(NAME, DIGEST)
    before = objects(place)
    other = cache_at(tmp_path, bucket_at(place, OURS._replace(id="b2", namespace="other")))
    for asked in (
        other.check,
        other.listed,
        lambda: other.receive(DIGEST, [BYTES], len(BYTES)),
        lambda: other.remove(DIGEST),
        lambda: other.name(f"{'f' * 64}.{'1' * 16}", DIGEST),
        lambda: other.unname(NAME),
    ):
        with pytest.raises(BucketFault) as refused:
            asked()
        assert str(refused.value) == (
            f"{bucket.url} holds the content of another workspace, workspace 'demo' of namespace"
            f" 'lab'; name another prefix, or delete {bucket.url}/workspace.json if that one is"
            " gone"
        )
    other.clear()
    assert objects(place) == before


def test_of_two_that_come_at_once_the_last_has_it_and_the_other_writes_nothing_more(place):
    first, second = bucket_at(place), bucket_at(place, OURS._replace(id="b2"))
    first.claim()
    system, root = place
    system.rm_file(f"{root}/workspace.json")  # as if neither had seen the other's
    second.claim()
    with pytest.raises(BucketFault, match="holds the content of another workspace"):
        first.remove(DIGEST)


def test_a_marker_that_says_nothing_is_nobodys_to_take(bucket, place):
    system, root = place
    system.makedirs(root, exist_ok=True)
    system.pipe_file(f"{root}/workspace.json", b"[]")
    with pytest.raises(BucketFault) as refused:
        bucket.claim()
    assert str(refused.value) == (
        f"{bucket.url}/workspace.json does not say whose content that is; name another prefix"
    )


def test_what_is_cleared_is_ours_by_name_and_nothing_else(cache, bucket, place):
    cache.receive(DIGEST, [BYTES], len(BYTES))
    cache.name(NAME, DIGEST)
    system, root = place
    for mine in ("report.csv", "assets/readme.txt", "assets/more/" + "a" * 64):
        system.makedirs(f"{root}/{mine}".rpartition("/")[0], exist_ok=True)
        system.pipe_file(f"{root}/{mine}", b"mine")
    assert len(objects(place)) == 6
    cache.clear()
    assert objects(place) == ["assets/more/" + "a" * 64, "assets/readme.txt", "report.csv"]
    cache.clear()


def test_names_are_kept_in_the_bucket(cache, bucket, place, tmp_path):
    assert cache.named(NAME) is None
    cache.receive(DIGEST, [BYTES], len(BYTES))
    assert cache.name(NAME, DIGEST) is True
    other = cache_at(tmp_path, bucket)
    assert other.named(NAME) == DIGEST
    assert other.listed()["environments"] == {NAME: DIGEST}
    assert other.name(NAME, "a" * 64) is False
    assert other.remove(DIGEST) is True
    assert other.named(NAME) is None
    assert other.listed()["environments"] == {NAME: None}
    assert other.unname(NAME) is True
    assert other.unname(NAME) is False
    assert objects(place) == ["workspace.json"]


def test_what_was_used_lately_or_before_the_pod_moved_is_not_removed(cache, bucket, tmp_path):
    cache.receive(DIGEST, [BYTES], len(BYTES))
    other = cache_at(tmp_path, bucket)
    with pytest.raises(InUse):
        other.remove(DIGEST, 60.0)
    other._began_s -= 100
    assert [one["idle_s"] >= 100 for one in other.listed()["assets"]] == [True]
    other.size(DIGEST)
    with pytest.raises(InUse):
        other.remove(DIGEST, 60.0)
    other._used[DIGEST] -= 100
    assert other.remove(DIGEST, 60.0) is True


def test_what_is_at_hand_is_given_while_nothing_reaches_the_bucket(cache, bucket):
    cache.receive(DIGEST, [BYTES], len(BYTES))
    cache.name(NAME, DIGEST)

    def away(_url):
        raise OSError("Connection refused")

    bucket._open = away
    bucket.forget()
    assert read(cache, DIGEST) == BYTES
    assert cache.named(NAME) == DIGEST
    with pytest.raises(BucketFault) as silent:
        cache.check()
    assert str(silent.value) == (
        f"the content pod cannot read from {bucket.url}: Connection refused; check that the cluster"
        " reaches it, then run this again"
    )


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (
            PermissionError("Forbidden"),
            "its credentials do not let the content pod read from s3://models/demo: Forbidden; mend"
            " the connection or the Secret that has them (the pod reads the Secret again within two"
            " minutes), or the rights of the service account, then run this again",
        ),
        (
            ModuleNotFoundError("No module named 'fsspec'"),
            "the runtime image has no s3fs, which s3:// needs; make it with `inferctl image build"
            " --with s3fs`, and push or load that",
        ),
        (
            OSError(28, "No space left on device"),
            "s3://models/demo takes nothing more: [Errno 28] No space left on device",
        ),
        (
            OSError("NoSuchBucket"),
            "there is no bucket of s3://models/demo: NoSuchBucket; make it, or mend url",
        ),
    ],
)
def test_what_goes_wrong_is_one_sentence_with_what_to_do(raised, said):
    def fails(_url):
        raise raised

    with pytest.raises((BucketFault, BucketFull)) as fault:
        Bucket("s3://models/demo", OURS, fails).claim()
    assert str(fault.value) == said


@pytest.mark.parametrize("fault", [PermissionError("Forbidden"), ConnectionError("no such host")])
def test_variables_by_which_a_bucket_cannot_be_used_are_read_again(place, fault):
    opened = []

    class Refusing:
        def cat_file(self, _path):
            raise fault

    def opens(_url):
        opened.append(1)
        return (Refusing(), "") if len(opened) == 1 else place

    bucket = Bucket("s3://models/demo", OURS, opens)
    with pytest.raises(BucketFault):
        bucket.claim()
    bucket.claim()
    bucket.claim()
    assert len(opened) == 2


def test_who_asks_for_the_same_waits_for_one_fetch_and_is_told_how_far_it_is(
    cache, bucket, tmp_path, monkeypatch
):
    cache.receive(DIGEST, [BYTES], len(BYTES))
    other = cache_at(tmp_path, bucket, wait_s=0.05)
    going, fetches = threading.Event(), []

    def slow(digest, size):
        fetches.append(digest)
        yield BYTES[:1_000_000]
        assert going.wait(30)
        yield BYTES[1_000_000:]

    monkeypatch.setattr(bucket, "parts", slow)
    for _ in range(2):
        with pytest.raises(Fetching, match="it is fetched from the bucket: "):
            other.opened(DIGEST)
    with pytest.raises(Fetching) as far:
        other.opened(DIGEST)
    assert str(far.value) == "it is fetched from the bucket: 1000000 of 25600000 bytes"
    going.set()
    other._wait_s = 30
    assert read(other, DIGEST) == BYTES
    assert fetches == [DIGEST]


def test_what_was_not_used_for_longest_makes_room_at_hand_and_stays_in_the_bucket(
    cache, place, monkeypatch
):
    first, second = b"first" * 1000, b"second" * 1000
    digests = [hashlib.sha256(one).hexdigest() for one in (first, second)]
    for digest, text in zip(digests, (first, second), strict=True):
        cache.receive(digest, [text], len(text))
    free = itertools.chain([0], itertools.repeat(2**30))
    monkeypatch.setattr(cache, "_free", lambda: next(free))
    cache.fits(1000)
    assert at_hand(cache) == [digests[1]]
    assert read(cache, digests[0]) == first


@pytest.mark.parametrize("place", ["file"], indirect=True)
def test_no_whole_archive_is_in_memory(cache, bucket, tmp_path):
    part = bytes(2**20)
    digest = hashlib.sha256(part * 100).hexdigest()
    tracemalloc.start()
    cache.receive(digest, itertools.repeat(part, 100), 100 * 2**20)
    other = cache_at(tmp_path, bucket)
    with other.opened(digest):
        pass
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 40 * 2**20


def test_a_key_of_google_in_a_secret_is_named_by_its_file(tmp_path, monkeypatch):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "")
    key = tmp_path / "GOOGLE_APPLICATION_CREDENTIALS"
    key.write_text('{"type": "service_account"}\n')
    (tmp_path / "AWS_ACCESS_KEY_ID").write_text("ann\n")
    opened("memory://models", tmp_path)
    assert os.environ["GOOGLE_APPLICATION_CREDENTIALS"] == str(key)
    assert os.environ["AWS_ACCESS_KEY_ID"] == "ann"
    key.write_text("/var/run/google/key.json")
    opened("memory://models", tmp_path)
    assert os.environ["GOOGLE_APPLICATION_CREDENTIALS"] == "/var/run/google/key.json"


def test_a_variable_that_its_secret_lost_is_set_no_more(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "")
    (tmp_path / "AWS_SESSION_TOKEN").write_text("short-lived")
    opened("memory://models", tmp_path)
    assert os.environ["AWS_SESSION_TOKEN"] == "short-lived"
    (tmp_path / "AWS_SESSION_TOKEN").unlink()
    opened("memory://models", tmp_path)
    assert "AWS_SESSION_TOKEN" not in os.environ


def test_no_fault_quotes_a_value_of_the_secret_and_every_one_says_where_the_bucket_is(
    place, tmp_path
):
    values = tmp_path / "variables"
    values.mkdir()
    (values / "AWS_SECRET_ACCESS_KEY").write_text("wJalr-4711-key\n")
    (values / "AWS_ENDPOINT_URL").write_text("https://minio.test:9000\n")
    said = "no answer of https://minio.test:9000 to wJalr-4711-key " + "x" * 150 + " wJalr-4711-key"

    def away(_url):
        raise OSError(said)

    bucket = Bucket("s3://models/demo", OURS, away, lambda: secret_values(values))
    with pytest.raises(BucketFault) as fault:
        bucket.claim()
    assert "wJalr" not in str(fault.value)
    assert "no answer of https://minio.test:9000 to [secret] xxx" in fault.value.reason


def test_every_variable_but_those_of_a_place_is_a_secret(tmp_path):
    for name in ("AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "AZURE_STORAGE_ACCOUNT_NAME"):
        (tmp_path / name).write_text("a place\n")
    (tmp_path / "FSSPEC_SFTP_PW").write_text("hidden-4711\n")
    (tmp_path / "AWS_LOGIN").write_text("hidden-4712\n")
    assert {*secret_values(tmp_path)} == {"hidden-4711", "hidden-4712"}


def test_a_password_in_the_url_of_a_place_is_a_secret(tmp_path):
    (tmp_path / "AWS_ENDPOINT_URL").write_text("https://ana:pw-4711@minio.test:9000\n")
    (tmp_path / "FSSPEC_S3_ENDPOINT_URL").write_text("https://minio.test:9000\n")
    said = "no answer of https://ana:pw-4711@minio.test:9000"

    def away(_url):
        raise OSError(said)

    bucket = Bucket("s3://models/demo", OURS, away, lambda: secret_values(tmp_path))
    with pytest.raises(BucketFault, match=r"no answer of https://\[secret\]@minio\.test:9000;"):
        bucket.claim()


@pytest.mark.parametrize("value", [b"\xff\xfe\x00\x01", b"nul\0inside"])
def test_what_is_no_text_is_no_variable_and_hinders_no_other(place, tmp_path, value):
    (tmp_path / "AWS_SESSION_TOKEN").write_text("hidden-4711\n")
    opened("memory://models", tmp_path)
    (tmp_path / "keystore.p12").write_bytes(value)
    (tmp_path / "AWS_SESSION_TOKEN").write_bytes(value)
    (tmp_path / "AWS_LOGIN").write_text("hidden-4712\n")
    opened("memory://models", tmp_path)
    assert os.environ["AWS_LOGIN"] == "hidden-4712"
    assert not {"keystore.p12", "AWS_SESSION_TOKEN"} & os.environ.keys()
    assert "hidden-4712" in secret_values(tmp_path)
