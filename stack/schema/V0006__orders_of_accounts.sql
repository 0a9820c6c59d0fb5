-- Which orders an account has, without an index on the day that is being written: one row per account and batch, written in the
-- batch's own transaction. So the list of an account costs what its own orders cost, however many others have.
CREATE TABLE orders_of_accounts (
    partition integer   NOT NULL,
    account   integer   NOT NULL,
    first     bigint    NOT NULL, -- sequence of the first order of this row
    last      bigint    NOT NULL, -- of the last one
    orders    integer[] NOT NULL, -- every order's distance from the first, ascending
    PRIMARY KEY (partition, account, last)
);

-- Up to where they were written, moved together with `sequence`. A persister of an earlier release leaves it behind.
ALTER TABLE checkpoint ADD COLUMN listed bigint NOT NULL DEFAULT 0;

-- Sequences whose orders stand in `events` alone, since a persister of an earlier release wrote them.
CREATE TABLE unlisted (
    partition integer NOT NULL,
    first     bigint  NOT NULL,
    last      bigint  NOT NULL,
    PRIMARY KEY (partition, first)
);

-- What is said when a persister begins: whatever stands up to its checkpoint without lists is read from the events, and no list
-- reaches behind a checkpoint that was put back. Returns the first sequence that is not listed now, NULL where all is as it was.
CREATE FUNCTION settle_lists(in_partition integer) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    ends    checkpoint;
    cut     bigint;
    earlier bigint;
BEGIN
    SELECT * INTO ends FROM checkpoint c WHERE c.partition = in_partition;
    IF ends.listed = ends.sequence THEN
        RETURN NULL;
    END IF;
    -- The rows of a batch overlap: with one that reaches behind the cut go those that reach into it.
    cut := least(ends.listed, ends.sequence) + 1;
    LOOP
        SELECT min(o.first) INTO earlier FROM orders_of_accounts o WHERE o.partition = in_partition AND o.last >= cut;
        EXIT WHEN earlier IS NULL OR earlier >= cut;
        cut := earlier;
    END LOOP;
    DELETE FROM orders_of_accounts o WHERE o.partition = in_partition AND o.last >= cut;
    DELETE FROM unlisted u WHERE u.partition = in_partition AND u.first > ends.sequence;
    UPDATE unlisted u SET last = ends.sequence WHERE u.partition = in_partition AND u.last > ends.sequence;
    IF cut <= ends.sequence THEN
        INSERT INTO unlisted (partition, first, last) VALUES (in_partition, cut, ends.sequence);
    END IF;
    UPDATE checkpoint c SET listed = c.sequence WHERE c.partition = in_partition;
    RETURN cut;
END
$$;

-- The first sequence of a partition at or after a time, on whatever day; above all sequences if there is none.
CREATE FUNCTION first_since(in_partition integer, since_ns bigint) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found bigint := sequence_since(in_partition, since_ns);
BEGIN
    IF found = 0 THEN -- the day of that time has none
        SELECT e.sequence INTO found FROM events e
         WHERE e.partition = in_partition AND e.time_ns >= since_ns
         ORDER BY e.sequence LIMIT 1;
    END IF;
    RETURN coalesce(found, 9223372036854775807);
END
$$;

-- Up to `wanted` orders of an account, accepted after the sequence `after` and not before `since_ns`, ascending.
CREATE FUNCTION orders_of(in_partition integer, in_account text, after bigint, since_ns bigint, wanted integer)
RETURNS SETOF bigint
LANGUAGE plpgsql STABLE ROWS 100 AS $$
DECLARE
    who     integer;
    start   bigint := after + 1;
    missing integer := wanted;
    span    record;
    piece   record;
    place   integer;
    found   bigint;
BEGIN
    SELECT a.id INTO who FROM accounts a WHERE a.partition = in_partition AND a.account = in_account;
    IF who IS NULL OR wanted <= 0 THEN
        RETURN;
    END IF;
    IF since_ns > 0 THEN
        start := greatest(start, first_since(in_partition, since_ns));
    END IF;
    -- By turns what is listed and what is not, as their sequences come; behind the last span there is nothing.
    FOR span IN
        SELECT u.first, u.last FROM unlisted u WHERE u.partition = in_partition AND u.last >= start
        UNION ALL
        SELECT c.listed + 1, c.sequence FROM checkpoint c WHERE c.partition = in_partition AND c.listed < c.sequence
        UNION ALL
        SELECT 9223372036854775807, 0
        ORDER BY 1
    LOOP
        -- A row has one order from `start` on at least: its last. The limit makes the key the cheapest way.
        FOR piece IN
            SELECT o.first, o.orders FROM orders_of_accounts o
             WHERE o.partition = in_partition AND o.account = who AND o.last >= start AND o.last < span.first
             ORDER BY o.last LIMIT missing
        LOOP
            FOREACH place IN ARRAY piece.orders LOOP
                CONTINUE WHEN piece.first + place < start;
                RETURN NEXT piece.first + place;
                missing := missing - 1;
                IF missing = 0 THEN
                    RETURN;
                END IF;
            END LOOP;
        END LOOP;
        FOR found IN
            SELECT e.sequence FROM events e
             WHERE e.partition = in_partition AND e.kind = 1 AND e.account = who AND e.time_ns >= since_ns
               AND e.sequence >= greatest(start, span.first) AND e.sequence <= span.last
             ORDER BY e.sequence LIMIT missing
        LOOP
            RETURN NEXT found;
            missing := missing - 1;
            IF missing = 0 THEN
                RETURN;
            END IF;
        END LOOP;
        start := greatest(start, span.last + 1);
    END LOOP;
END
$$;

-- All orders of an account with a client_order_id. On days that have their indexes, by them; on those that have none yet, by
-- looking at the account's own orders one by one.
CREATE FUNCTION orders_called(in_partition integer, in_account text, in_text text) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE ROWS 10 AS $$
DECLARE
    who    integer;
    opened bigint;
BEGIN
    SELECT a.id INTO who FROM accounts a WHERE a.partition = in_partition AND a.account = in_account;
    SELECT coalesce(min(day_start_ns(d)), 9223372036854775807) INTO opened FROM days_to_index('infinity') d;
    RETURN QUERY
        SELECT e.sequence FROM events e
         WHERE e.partition = in_partition AND e.kind = 1 AND e.account = who
           AND hashtext(e.text) = hashtext(in_text) AND e.text = in_text AND e.time_ns < opened;
    RETURN QUERY
        SELECT e.sequence FROM orders_of(in_partition, in_account, 0, opened, 2147483647) o
          JOIN events e ON e.partition = in_partition AND e.sequence = o AND e.kind = 1 AND e.time_ns >= opened
         WHERE e.text = in_text;
END
$$;
