"""What a database has besides rows, as the migrations left it: tables, columns, views, functions, indexes, constraints.

Kept beside the cluster when it was migrated, so that what a person changes later is seen. The tables of the days are left
out: the persister makes and indexes them on its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hftctl.paths import Layout, write_atomic
from hftctl.targets.local.components import number

FILE = "hftctl-catalog.json"
LOOK = """
SELECT 'column ' || c.relname || '.' || a.attname,
       format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
       || coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '')
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
UNION ALL
SELECT CASE c.relkind WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialized view ' ELSE 'table ' END || c.relname,
       CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) ELSE '' END
  FROM pg_class c
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition
UNION ALL
SELECT 'index ' || i.relname, pg_get_indexdef(i.oid)
  FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid
 WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relispartition
   AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.oid)
UNION ALL
SELECT 'constraint ' || k.conname || ' on ' || c.relname, pg_get_constraintdef(k.oid)
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
 WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relispartition
UNION ALL
SELECT 'function ' || p.oid::regprocedure, pg_get_functiondef(p.oid)
  FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace AND p.prokind IN ('f', 'p')
UNION ALL
SELECT 'trigger ' || t.tgname || ' on ' || c.relname, pg_get_triggerdef(t.oid)
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
 WHERE NOT t.tgisinternal AND c.relnamespace = 'public'::regnamespace AND NOT c.relispartition
"""


def look(connection: Any) -> dict[str, str]:
    """Name -> definition."""
    return dict(connection.execute(LOOK).fetchall())


def keep(layout: Layout, subject: str, found: Mapping[str, str]) -> None:
    write_atomic(_file(layout, subject), json.dumps(found, indent=1, sort_keys=True), mode=0o600)


def read(layout: Layout, subject: str) -> dict[str, str] | None:
    """None where nobody has looked yet."""
    try:
        found: dict[str, str] = json.loads(_file(layout, subject).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return found


def repair(name: str, wanted: str | None, found: str | None) -> str:
    """The SQL that leads back. What a dropped table or column held comes back from the journal, not from here."""
    kind, _, what = name.partition(" ")
    if kind in {"constraint", "trigger"}:
        what, _, table = what.partition(" on ")
        column = ""
    else:
        table, _, column = what.partition(".")
    drop = {
        "column": f"ALTER TABLE {table} DROP COLUMN {column}",
        "constraint": f"ALTER TABLE {table} DROP CONSTRAINT {what}",
        "trigger": f"DROP TRIGGER {what} ON {table}",
    }.get(kind, f"DROP {kind.upper()} {what}")
    if wanted is None:
        return drop
    if kind == "column" and found is not None:
        return f"ALTER TABLE {table} ALTER COLUMN {column} TYPE {wanted.split(' NOT NULL')[0].split(' DEFAULT')[0]}"
    make = {
        "column": f"ALTER TABLE {table} ADD COLUMN {column} {wanted}",
        "view": f"CREATE OR REPLACE VIEW {what} AS {' '.join(wanted.split())}",
        "constraint": f"ALTER TABLE {table} ADD CONSTRAINT {what} {wanted}",
        "table": f"CREATE TABLE {what} ()",
    }.get(kind, " ".join(wanted.split()) if kind != "function" else wanted)
    return make if found is None or kind in {"view", "function"} else f"{drop}; {make}"


def _file(layout: Layout, subject: str) -> Path:
    """Inside the cluster's folder: another cluster has not been migrated."""
    return layout.postgres(number(subject)) / FILE
