-- Days are indexed without keeping writers out (CREATE INDEX CONCURRENTLY, stack/persister/days.py), so that an index may be
-- there unfinished. Such a day is still to be indexed. `index_day` stays for the release before this one.
CREATE OR REPLACE FUNCTION days_to_index(today date) RETURNS SETOF date
LANGUAGE sql STABLE AS $$
    SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS day
      FROM pg_inherits h
      JOIN pg_class c ON c.oid = h.inhrelid
     WHERE h.inhparent = 'events'::regclass
       AND to_date(right(c.relname, 8), 'YYYYMMDD') < today
       AND NOT EXISTS (SELECT FROM pg_index i
                        WHERE i.indexrelid = to_regclass(quote_ident(c.relname || '_trades')) AND i.indisvalid)
     ORDER BY day
$$;
