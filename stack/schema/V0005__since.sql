-- The first sequence at or after a time, on the day of that time; 0 if that day has none: then only later days do. Recorded
-- time never goes back within a partition, so that it is found by halving along the key: today has no index of times.
CREATE FUNCTION sequence_since(in_partition integer, since_ns bigint) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE
    first  bigint := since_ns - since_ns % 86400000000000;
    low    bigint;
    high   bigint;
    middle bigint;
    found  bigint;
BEGIN
    SELECT e.sequence INTO low FROM events e
     WHERE e.partition = in_partition AND e.time_ns >= first AND e.time_ns < first + 86400000000000
     ORDER BY e.sequence LIMIT 1;
    IF low IS NULL THEN
        RETURN 0;
    END IF;
    SELECT e.sequence + 1 INTO high FROM events e
     WHERE e.partition = in_partition AND e.time_ns >= first AND e.time_ns < first + 86400000000000
     ORDER BY e.sequence DESC LIMIT 1;
    WHILE low < high LOOP
        middle := (low + high) / 2;
        SELECT e.time_ns INTO found FROM events e
         WHERE e.partition = in_partition AND e.sequence >= middle
           AND e.time_ns >= first AND e.time_ns < first + 86400000000000
         ORDER BY e.sequence LIMIT 1;
        IF found >= since_ns THEN
            high := middle;
        ELSE
            low := middle + 1;
        END IF;
    END LOOP;
    RETURN low;
END
$$;
