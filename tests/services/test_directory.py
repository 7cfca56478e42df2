import os
import stat

import pytest

from infra.local_services.directory import Memory, locked, write_private
from infra.local_services.service import StartError


def test_a_locked_directory_names_the_process_that_owns_it(tmp_path):
    told = pytest.raises(StartError, match=f"in use by process {os.getpid()}$")

    with locked(tmp_path), told, locked(tmp_path):
        pass


def test_a_directory_can_be_locked_again_after_it_was_let_go(tmp_path):
    with locked(tmp_path):
        pass

    with locked(tmp_path):
        pass


def test_a_directory_that_cannot_be_made_is_said_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")

    told = pytest.raises(StartError, match=r"cannot use .*file/data as a data directory")

    with told, locked(tmp_path / "file" / "data"):
        pass


def test_what_is_written_in_private_is_readable_by_its_owner_only(tmp_path):
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o644)

    write_private(path, "new")

    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_credentials_and_ports_are_the_same_at_the_next_start(tmp_path):
    memory = Memory.of(tmp_path)
    secret = memory.credential("TAMS_S3_SECRET_KEY")
    memory.ports["valkey"] = 10_001
    memory.save()

    again = Memory.of(tmp_path)

    assert again.credential("TAMS_S3_SECRET_KEY") == secret
    assert again.ports == {"valkey": 10_001}


def test_credentials_differ_from_store_to_store(tmp_path):
    one, other = Memory.of(tmp_path / "one"), Memory.of(tmp_path / "other")

    assert one.credential("TAMS_S3_SECRET_KEY") != other.credential("TAMS_S3_SECRET_KEY")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"credentials": [], "ports": {"a": "b"}}'])
def test_a_damaged_memory_is_named_and_not_overwritten(tmp_path, text):
    path = tmp_path / "local-services.json"
    path.write_text(text)

    with pytest.raises(StartError, match=r"local-services\.json is damaged"):
        Memory.of(tmp_path)

    assert path.read_text() == text


def test_a_memory_does_not_print_its_credentials(tmp_path):
    memory = Memory.of(tmp_path)

    secret = memory.credential("TAMS_S3_SECRET_KEY")

    assert secret not in repr(memory)
