"""Statements of hot paths, compiled by the ORM once per process: a call only binds values and runs them.

Compiling a query costs the ORM ten to forty times what a small database needs to answer it. Here the ORM stays
the one place where the query is written; its SQL is kept. Only whole numbers and texts can be bound, for which
every backend takes what Python has.

    by_slug = Prepared(lambda slug, user: Annotator.objects.filter(project__slug=slug, user_id=user), slug=str)
    by_slug.first(slug="pairs", user=7)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from threading import Lock
from typing import Any

from django.db import connection, models
from django.db.models.query import get_related_populators
from django.db.models.sql import UpdateQuery

_FIRST_MARK = 31_741  # numbers that no query of ours holds by itself; they fit a SMALLINT, the smallest field


class _Statement:
    """SQL with the places of its bound values; `marks` maps each mark to the name of a value."""

    def __init__(self, query, marks: dict[Any, str]) -> None:
        compiler = query.get_compiler(connection=connection)
        self.sql, params = compiler.as_sql()
        self.params = [(marks.get(param), param) for param in params]
        unbound = set(marks.values()) - {name for name, _ in self.params}
        if unbound:
            raise ValueError(f"{', '.join(sorted(unbound))}: not found as a value in {self.sql}")
        self.compiler = compiler

    def execute(self, cursor, values: dict[str, Any]) -> None:
        cursor.execute(self.sql, [fixed if name is None else values[name] for name, fixed in self.params])


class _Select(_Statement):
    """A SELECT that gives model instances (with select_related) or, for values_list, tuples."""

    def __init__(self, queryset: models.QuerySet, marks: dict[Any, str]) -> None:
        super().__init__(queryset.query, marks)
        compiler = self.compiler
        self.converters = compiler.get_converters([column[0] for column in compiler.select])
        self.info = None
        if compiler.klass_info and not queryset.query.values_select and not queryset.query.annotation_select:
            self.info = compiler.klass_info
            fields = self.info["select_fields"]
            self.start, self.end = fields[0], fields[-1] + 1
            self.names = [column[0].target.attname for column in compiler.select[self.start : self.end]]
            self.model = self.info["model"]
            self.related = get_related_populators(self.info, compiler.select, connection.alias)

    def rows(self, values: dict[str, Any]) -> list:
        with connection.cursor() as cursor:
            self.execute(cursor, values)
            found = cursor.fetchall()
        if self.converters:
            found = [self._converted(row) for row in found]
        if self.info is None:
            return [tuple(row) for row in found]
        return [self._instance(row) for row in found]

    def _converted(self, row) -> list:
        row = list(row)
        for place, (functions, expression) in self.converters.items():
            value = row[place]
            for function in functions:
                value = function(value, expression, connection)
            row[place] = value
        return row

    def _instance(self, row) -> models.Model:
        made = self.model.from_db(connection.alias, self.names, row[self.start : self.end])
        for populator in self.related:
            populator.populate(row, made)
        return made


class Prepared:
    """A query that is built and compiled at its first call.

    `build` takes the values by name and returns a QuerySet; values are whole numbers unless `kinds` says `str`.
    It must use each value as it is: a value changed by `build` is not found again (ValueError at the first call).
    """

    def __init__(self, build: Callable[..., models.QuerySet], **kinds: type) -> None:
        self._build, self._kinds = build, kinds
        self._statement: Any = None
        self._lock = Lock()

    def _marks(self) -> dict[Any, str]:
        names = [*inspect.signature(self._build).parameters]
        return {
            f"\x01{name}\x01" if self._kinds.get(name) is str else _FIRST_MARK + place: name
            for place, name in enumerate(names)
        }

    def _compiled(self) -> Any:
        if self._statement is None:
            with self._lock:
                if self._statement is None:
                    marks = self._marks()
                    self._statement = self._compile(marks, {name: mark for mark, name in marks.items()})
        return self._statement

    def _compile(self, marks: dict[Any, str], values: dict[str, Any]) -> _Statement:
        return _Select(self._build(**values), marks)

    def rows(self, **values: Any) -> list:
        """Every row, in the query's order."""
        return self._compiled().rows(values)

    def first(self, **values: Any) -> Any:
        """The first row, or None. Give `build` a `[:1]`."""
        found = self.rows(**values)
        return found[0] if found else None


class PreparedUpdate(Prepared):
    """An UPDATE: `build` returns a QuerySet and a dict of what `QuerySet.update` would take."""

    def _compile(self, marks: dict[Any, str], values: dict[str, Any]) -> _Statement:
        queryset, changes = self._build(**values)
        query = queryset.query.chain(UpdateQuery)
        query.add_update_values(changes)
        query.annotations = {}
        return _Statement(query, marks)

    def run(self, **values: Any) -> int:
        """Run it; returns how many rows matched."""
        with connection.cursor() as cursor:
            self._compiled().execute(cursor, values)
            return cursor.rowcount
