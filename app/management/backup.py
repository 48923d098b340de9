"""Backup and restore: one tar file with the database and the media folder, taken while the site works.

The database is copied first, in one consistent view, the media after it: files are written before the rows that
name them and never changed, so every file that a row names is in the backup. SQLite gives a copy of its file,
PostgreSQL a COPY of every table; neither needs a program beside Python. A backup is restored into an empty database
of the same kind, at the migrations it was taken at, and then migrated on.

Not in it: `SECRET_KEY` (keys of LM endpoints cannot be read without the same one), weights of local models, caches.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import hmac
import io
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

FORMAT = "plumbline-backup-1"
MANIFEST = "manifest.json"
SQLITE = "database.sqlite3.gz"
TABLES = "database"
MEDIA = "media"
CHUNK = 1 << 20
Progress = Callable[[str, int], None]


class BackupError(Exception):
    """The backup cannot be taken or restored; the text says why. Nothing was left half done."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a backup holds, or what was restored."""

    path: str
    rows: int
    files: int
    bytes: int
    same_secret: bool = True
    """Whether it was taken under this SECRET_KEY."""


# --- Taking one ---------------------------------------------------------------------------------------------
def backup(target: Path, progress: Progress | None = None) -> Done:
    """Write a backup to `target`, a file that does not exist yet. Raises BackupError.

    It appears under its name when it is whole; needs room for the database twice, beside the target.
    """
    if target.exists():
        raise BackupError(f"{target} exists; give another name.")
    if not MigrationRecorder(connection).has_table():
        raise BackupError("The database was never migrated: there is nothing to back up.")
    report = progress or (lambda words, n: None)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    try:
        with (
            tempfile.TemporaryDirectory(dir=target.parent, prefix=".plumbline-") as folder,
            tarfile.open(partial, "w") as archive,
        ):
            packer = _Packer(archive)
            report("database", 0)
            manifest = _pack_database(packer, Path(folder), report)
            n_files = 0
            for path in _media_files():
                n_files += packer.add(path, f"{MEDIA}/{path.relative_to(settings.MEDIA_ROOT).as_posix()}")
                report("files", n_files)
            manifest |= {
                "format": FORMAT,
                "taken_at": timezone.now().isoformat(),
                "secret": secret_mark(),
                "members": packer.members,
            }
            packer.add_bytes(json.dumps(manifest, ensure_ascii=False, indent=1).encode(), MANIFEST)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError as error:
        raise BackupError(f"The backup cannot be written: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return Done(str(target), sum(manifest["rows"].values()), n_files, target.stat().st_size)


def secret_mark() -> str:
    """Tells whether two SECRET_KEYs are the same, and nothing else about them."""
    return hmac.new(settings.SECRET_KEY.encode(), b"plumbline backup", hashlib.sha256).hexdigest()[:16]


class _Packer:
    """Adds files to the archive and remembers size and SHA-256 of each."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self.archive, self.members = archive, {}

    def add(self, path: Path, name: str) -> int:
        """Add a file; 0 if it has gone meanwhile, else 1."""
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return 0
        with file:
            info = self.archive.gettarinfo(arcname=name, fileobj=file)
            info.uid = info.gid = 0
            info.uname = info.gname = ""
            reader = _Hashing(file)
            self.archive.addfile(info, reader)
        self.members[name] = {"bytes": info.size, "sha256": reader.hash.hexdigest()}
        return 1

    def add_bytes(self, data: bytes, name: str) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mtime = len(data), int(timezone.now().timestamp())
        self.archive.addfile(info, io.BytesIO(data))


class _Hashing:
    """A file that is hashed as it is read."""

    def __init__(self, file) -> None:
        self.file, self.hash = file, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(size)
        self.hash.update(data)
        return data


def _media_files() -> Iterator[Path]:
    """Whole files of the media folder, in order; what is being written (`.name`, `*.tmp`) is left out."""
    root = Path(settings.MEDIA_ROOT)
    for folder, names, files in os.walk(root):
        names[:] = sorted(n for n in names if not n.startswith(".") and not n.endswith(".tmp"))
        for name in sorted(files):
            path = Path(folder) / name
            if not name.startswith(".") and not name.endswith(".tmp") and path.is_file():
                yield path


def _pack_database(packer: _Packer, folder: Path, report: Progress) -> dict:
    if connection.vendor == "sqlite":
        return _pack_sqlite(packer, folder)
    return _pack_postgres(packer, folder, report)


def _pack_sqlite(packer: _Packer, folder: Path) -> dict:
    copy = folder / "copy.sqlite3"
    connection.ensure_connection()
    with contextlib.closing(sqlite3.connect(copy)) as into:
        connection.connection.backup(into)  # one read transaction: writers go on
        tables = [row[0] for row in into.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
        )]  # fmt: skip
        rows = {name: into.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in tables}  # noqa: S608
        applied = into.execute("SELECT app, name FROM django_migrations ORDER BY id").fetchall()
    packed = folder / SQLITE
    with copy.open("rb") as file, gzip.open(packed, "wb", compresslevel=1) as out:
        shutil.copyfileobj(file, out, CHUNK)
    packer.add(packed, SQLITE)
    return {"vendor": "sqlite", "rows": rows, "migrations": [list(row) for row in applied]}


def _pack_postgres(packer: _Packer, folder: Path, report: Progress) -> dict:
    rows: dict[str, int] = {}
    columns: dict[str, list[str]] = {}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() "
            "AND table_type = 'BASE TABLE' ORDER BY table_name"
        )
        for (table,) in cursor.fetchall():
            columns[table] = _columns(cursor, table)
            packed = folder / f"{table}.copy.gz"
            with gzip.open(packed, "wb", compresslevel=1) as out:
                with cursor.copy(f"COPY {_quoted(table)} ({_list(columns[table])}) TO STDOUT") as copy:
                    for data in copy:
                        out.write(data)
                rows[table] = cursor.rowcount
            packer.add(packed, f"{TABLES}/{packed.name}")
            packed.unlink()
            report(table, rows[table])
        cursor.execute("SELECT app, name FROM django_migrations ORDER BY id")
        applied = cursor.fetchall()
        # Beyond the highest row where rows were deleted: ids must not come again (the judgment log counts on it).
        cursor.execute(
            "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = current_schema() "
            "AND last_value IS NOT NULL ORDER BY sequencename"
        )
        sequences = dict(cursor.fetchall())
    return {
        "vendor": "postgresql",
        "rows": rows,
        "columns": columns,
        "sequences": sequences,
        "migrations": [list(row) for row in applied],
    }


def _columns(cursor, table: str) -> list[str]:
    cursor.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema() "
        "AND table_name = %s AND is_generated = 'NEVER' ORDER BY ordinal_position",
        [table],
    )
    return [row[0] for row in cursor.fetchall()]


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)


def _list(names: list[str]) -> str:
    return ", ".join(map(_quoted, names))


# --- Bringing one back --------------------------------------------------------------------------------------
def restore(source: Path, progress: Progress | None = None) -> Done:
    """Restore a backup into this site's empty database and media folder, then migrate on. Raises BackupError.

    Everything in the file is checked against its hashes before anything is written. The site must not be running.
    """
    report = progress or (lambda words, n: None)
    root = Path(settings.MEDIA_ROOT)
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=".restore-") as name:
        folder = Path(name)
        manifest = _unpack(source, folder, report)
        _refuse_if_used(manifest)
        if manifest["vendor"] == "sqlite":
            _restore_sqlite(folder)
        else:
            _restore_postgres(folder, manifest, report)
        media = folder / MEDIA
        media.mkdir(exist_ok=True)
        if root.exists():
            shutil.rmtree(root)
        media.replace(root)
    call_command("migrate", interactive=False, verbosity=0)
    n_files = sum(name.startswith(f"{MEDIA}/") for name in manifest["members"])
    rows = sum(manifest["rows"].values())
    return Done(str(source), rows, n_files, source.stat().st_size, manifest["secret"] == secret_mark())


def _unpack(source: Path, folder: Path, report: Progress) -> dict:
    """Unpack into the folder and check every file against the manifest."""
    found: dict[str, dict] = {}
    try:
        with tarfile.open(source, "r|") as archive:
            for member in archive:
                path = PurePosixPath(member.name)
                if not member.isreg() or path.is_absolute() or ".." in path.parts:
                    raise BackupError(f"{source}: {member.name!r} is not a plain file of a backup.")
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                reader = _Hashing(archive.extractfile(member))
                with target.open("wb") as out:
                    shutil.copyfileobj(reader, out, CHUNK)
                found[member.name] = {"bytes": target.stat().st_size, "sha256": reader.hash.hexdigest()}
                report("unpacked", len(found))
    except FileNotFoundError:
        raise BackupError(f"{source}: no such file.") from None
    except (tarfile.TarError, EOFError, OSError) as error:
        raise BackupError(f"{source} is cut or is no backup: {error}") from None
    found.pop(MANIFEST, None)
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError):
        raise BackupError(f"{source} is cut or is no backup: it has no manifest at its end.") from None
    if manifest.get("format") != FORMAT:
        raise BackupError(f"{source}: expected a backup of the format {FORMAT}.")
    if found != manifest["members"]:
        wrong = sorted(
            name
            for name in {*found, *manifest["members"]}
            if found.get(name) != manifest["members"].get(name)
        )
        raise BackupError(
            f"{source} is damaged: {wrong[0]} is not what was packed ({len(wrong)} files differ)."
        )
    return manifest


def _refuse_if_used(manifest: dict) -> None:
    if manifest["vendor"] != connection.vendor:
        raise BackupError(
            f"The backup is of {manifest['vendor']}, and DATABASE_URL names {connection.vendor}: restore it there, "
            "or move single projects as native exports."
        )
    if any(_media_files()):
        raise BackupError(f"{settings.MEDIA_ROOT} holds files. Restore into an empty data folder.")
    tables = connection.introspection.table_names()
    with connection.cursor() as cursor:
        for table in ("accounts_user", "projects_project", "accounts_auditevent"):
            if table in tables:
                cursor.execute(f"SELECT 1 FROM {_quoted(table)} LIMIT 1")  # noqa: S608 - a fixed name
                if cursor.fetchone():
                    raise BackupError(
                        f"The database is in use ({table} has rows). Restore into an empty one."
                    )


def _restore_sqlite(folder: Path) -> None:
    copy = folder / "database.sqlite3"
    with gzip.open(folder / SQLITE) as file, copy.open("wb") as out:
        shutil.copyfileobj(file, out, CHUNK)
    with contextlib.closing(sqlite3.connect(copy)) as opened:
        if opened.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            raise BackupError("The database in the backup is damaged.")
        connection.ensure_connection()
        opened.backup(connection.connection)  # through SQLite: other connections see it, whatever the journal


def _restore_postgres(folder: Path, manifest: dict, report: Progress) -> None:
    _migrate_to({tuple(row) for row in manifest["migrations"]})
    with transaction.atomic(), connection.cursor() as cursor:
        tables = [name for name in manifest["rows"] if manifest["columns"][name]]
        cursor.execute(f"TRUNCATE {_list(tables)} CASCADE")
        for table in tables:
            target = f"COPY {_quoted(table)} ({_list(manifest['columns'][table])}) FROM STDIN"
            with gzip.open(folder / TABLES / f"{table}.copy.gz") as file, cursor.copy(target) as copy:
                while data := file.read(CHUNK):
                    copy.write(data)
            if cursor.rowcount != manifest["rows"][table]:
                raise BackupError(f"{table}: {cursor.rowcount} rows came back of {manifest['rows'][table]}.")
            report(table, cursor.rowcount)
        for name, last in manifest["sequences"].items():
            cursor.execute("SELECT setval(%s::regclass, %s)", [_quoted(name), last])
    connections.close_all()


def _migrate_to(wanted: set[tuple[str, str]]) -> None:
    """Bring a database without tables to just these migrations."""
    executor = MigrationExecutor(connection)
    if unknown := sorted(wanted - set(executor.loader.graph.nodes)):
        raise BackupError(
            f"The backup is of a newer version: {unknown[0][0]}.{unknown[0][1]} is not known here."
        )
    applied = set(executor.loader.applied_migrations)
    if applied and applied != wanted:
        raise BackupError(
            "The database is at other migrations than the backup: restore into one without tables."
        )
    if not applied:
        executor.migrate(_leaves(executor, wanted))


def _leaves(executor: MigrationExecutor, applied: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those of the applied migrations that no other applied one of the same app builds on."""
    graph = executor.loader.graph
    built_on = {
        parent.key for key in applied for parent in graph.node_map[key].parents if parent.key[0] == key[0]
    }
    return sorted(applied - built_on)
