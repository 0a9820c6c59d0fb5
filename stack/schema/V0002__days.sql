-- The tables of the days: made ahead of time, and indexed once nothing is written into them any more.

CREATE FUNCTION day_of(time_ns bigint) RETURNS date
LANGUAGE sql IMMUTABLE AS $$
    SELECT date '1970-01-01' + (time_ns / 86400000000000)::integer
$$;

CREATE FUNCTION day_start_ns(day date) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
    SELECT (day - date '1970-01-01')::bigint * 86400000000000
$$;

-- Make a day's table unless it is there. Attached, not created as a partition: that would lock readers and writers out.
CREATE FUNCTION create_day(day date) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    name text := 'events_' || to_char(day, 'YYYYMMDD');
BEGIN
    IF to_regclass(name) IS NOT NULL THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('create_day'));
    IF to_regclass(name) IS NOT NULL THEN -- somebody else was faster
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE events, PRIMARY KEY (partition, sequence, event_index))', name);
    EXECUTE format('ALTER TABLE events ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                   name, day_start_ns(day), day_start_ns(day + 1));
    RETURN true;
END
$$;

-- The days that are over and have no indexes yet, oldest first.
CREATE FUNCTION days_to_index(today date) RETURNS SETOF date
LANGUAGE sql STABLE AS $$
    SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS day
      FROM pg_inherits h
      JOIN pg_class c ON c.oid = h.inhrelid
     WHERE h.inhparent = 'events'::regclass
       AND to_date(right(c.relname, 8), 'YYYYMMDD') < today
       AND to_regclass(quote_ident(c.relname || '_trades')) IS NULL
     ORDER BY day
$$;

-- The indexes by which history is looked up; the last one made is the mark that all are there.
CREATE FUNCTION index_day(day date) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    name text := 'events_' || to_char(day, 'YYYYMMDD');
BEGIN
    EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON %I (partition, order_sequence)', name || '_orders', name);
    EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON %I (partition, account, sequence) WHERE kind = 1',
                   name || '_accounts', name);
    EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON %I (partition, symbol, trade) WHERE kind = 2',
                   name || '_trades', name);
END
$$;
